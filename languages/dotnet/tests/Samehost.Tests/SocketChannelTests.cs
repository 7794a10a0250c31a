using Grpc.Core;
using Grpc.Net.Client;
using Xunit;

namespace Samehost.Tests;

public sealed class SocketChannelTests : IDisposable
{
    /// <summary>RFC 9113, 6.5: SETTINGS with MAX_CONCURRENT_STREAMS of 0.</summary>
    private static readonly byte[] NoCalls = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

    private static readonly Method<string, string> Echo = new(
        MethodType.Unary, "test.Service", "Echo", Marshallers.StringMarshaller, Marshallers.StringMarshaller);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task IsUnavailableIfTheConnectionAllowsNoCall()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var listener = _folder.Listen();
        using var channel = SocketChannel.ForAddress(_folder.Address);
        using var call = Call(channel);

        // Close the connection too, because the client may call before it has read the SETTINGS. Then HttpClient calls
        // again on a new connection, which has to fail.
        using (var accepted = await listener.AcceptAsync(cancellation))
        {
            listener.Dispose();
            await accepted.SendAsync(NoCalls, cancellation);
        }

        var error = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
    }

    [Fact]
    public async Task ReportsWhyACallIsUnavailable()
    {
        using var channel = SocketChannel.ForAddress(_folder.Address);
        using var call = Call(channel);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
        var cause = Assert.IsType<SamehostException>(error.InnerException?.InnerException);
        Assert.Equal(SamehostError.NoServer, cause.Error);
    }

    private static AsyncUnaryCall<string> Call(GrpcChannel channel) => channel.CreateCallInvoker().AsyncUnaryCall(
        Echo,
        null,
        new CallOptions(
            deadline: DateTime.UtcNow.AddSeconds(30), cancellationToken: TestContext.Current.CancellationToken),
        "Ada");
}
