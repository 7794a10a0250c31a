using Grpc.Core;
using Samehost.Greeter.V1;
using Samehost.Interop.Client;
using Xunit;

namespace Samehost.Interop.Tests;

public sealed class SocketChannelTests : IDisposable
{
    /// <summary>RFC 9113, 6.5: SETTINGS of one setting, MAX_CONCURRENT_STREAMS, of 0.</summary>
    private static readonly byte[] NoCalls = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task IsUnavailableWhereAConnectionTakesNoCall()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var listener = _folder.Listen();
        using var channel = SocketChannel.ForAddress(_folder.Address);
        var greeter = new GreeterService.GreeterServiceClient(channel);
        using var call = greeter.GreetAsync(
            new GreetRequest { Name = "Ada" }, deadline: DateTime.UtcNow.AddSeconds(30), cancellationToken: cancellation);

        // It hangs up too, as the client may call before it has read what it may not.
        using (var accepted = await listener.AcceptAsync(cancellation))
        {
            await accepted.SendAsync(NoCalls, cancellation);
        }

        var error = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
    }
}
