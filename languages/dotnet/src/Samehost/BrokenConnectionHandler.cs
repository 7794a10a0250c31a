namespace Samehost;

/// <summary>Tells grpc-dotnet of a connection that broke before it took its first call: the call is UNAVAILABLE.</summary>
/// <remarks>
/// Where a server hangs up between the handshake and the first call, <see cref="SocketsHttpHandler"/> fails with an exception
/// that has no cause (dotnet/runtime HttpConnectionPool.Http2.cs, ReturnHttp2Connection). grpc-dotnet says UNAVAILABLE only
/// where an <see cref="IOException"/> is among the causes (grpc/grpc-dotnet HttpExceptionResolver.cs), and else INTERNAL, which
/// no retry policy should name. So the cause is put in.
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
            throw new HttpRequestException(error.Message, new IOException("the connection took no call", error));
        }
    }
}
