using Grpc.Net.Client;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>The server under test, over a connection of its own.</summary>
internal sealed class Peer : IDisposable
{
    private bool _cameCompressed;

    public Peer(UnixSocketAddress address)
    {
        Address = address;
        Channel = SocketChannel.ForAddress(address, configure: options =>
            options.CompressionProviders = ObservedCompressionProvider.All(() => _cameCompressed = true));
        Stub = new TestService.TestServiceClient(Channel);
    }

    public UnixSocketAddress Address { get; }

    public GrpcChannel Channel { get; }

    public TestService.TestServiceClient Stub { get; }

    /// <summary>When a call that starts now must be done, so that nothing hangs; over a socket it takes milliseconds.</summary>
    public static DateTime Deadline => DateTime.UtcNow.AddSeconds(30);

    /// <summary>Whether the response that was read last came compressed; asked once for each.</summary>
    public bool TakeCameCompressed()
    {
        var cameCompressed = _cameCompressed;
        _cameCompressed = false;
        return cameCompressed;
    }

    public void Dispose() => Channel.Dispose();
}
