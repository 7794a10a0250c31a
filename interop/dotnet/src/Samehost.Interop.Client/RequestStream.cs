using Grpc.Core;

namespace Samehost.Interop.Client;

/// <summary>Sends requests of a call that the server may end first.</summary>
internal static class RequestStream
{
    /// <summary>Sends a request, or leaves it to the responses to say with which status the call has ended.</summary>
    /// <remarks>
    /// Where the server resets the stream meanwhile, or the connection breaks, WriteAsync throws what the connection says, which
    /// is no status: an HttpIOException (grpc/grpc-dotnet HttpContentClientStreamWriter.cs). Reading tells the status.
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
