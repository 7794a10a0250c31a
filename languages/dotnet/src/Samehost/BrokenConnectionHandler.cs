namespace Samehost;

/// <summary>Makes a call UNAVAILABLE if its connection broke before the first call.</summary>
/// <remarks>
/// If a server closes a connection between the handshake and the first call, <see cref="SocketsHttpHandler"/> throws an
/// exception without an inner one (dotnet/runtime HttpConnectionPool.Http2.cs, ReturnHttp2Connection). grpc-dotnet
/// reports UNAVAILABLE only if an <see cref="IOException"/> is among the inner exceptions (grpc/grpc-dotnet
/// HttpExceptionResolver.cs). Otherwise it reports INTERNAL, which no retry policy should include. This handler adds
/// the inner exception.
/// </remarks>
internal sealed class BrokenConnectionHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    /// <inheritdoc/>
    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException error) when (error is
        {
            InnerException: null, HttpRequestError: HttpRequestError.Unknown
        })
        {
            throw new HttpRequestException(
                error.Message, new IOException("the server closed the connection before the first call", error));
        }
    }
}
