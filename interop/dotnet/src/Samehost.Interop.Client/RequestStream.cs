using Grpc.Core;

namespace Samehost.Interop.Client;

/// <summary>Sends the requests of a call that the server may end early.</summary>
internal static class RequestStream
{
    /// <summary>Sends a request. Ignores a failure to send, because reading the responses reports the status.</summary>
    /// <remarks>
    /// If the server resets the stream or the connection breaks, WriteAsync throws an HttpIOException, which has no
    /// status (grpc/grpc-dotnet HttpContentClientStreamWriter.cs).
    /// </remarks>
    public static async Task WriteUnlessEndedAsync<TRequest>(this IClientStreamWriter<TRequest> requests, TRequest request)
    {
        try
        {
            await requests.WriteAsync(request);
        }
        catch (IOException)
        {
        }
    }
}
