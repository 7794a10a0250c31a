using Grpc.Net.Client;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>A channel of its own to the server under test.</summary>
internal sealed class Peer : IDisposable
{
    private bool _compressed;

    public Peer(UnixSocketAddress address)
    {
        Address = address;
        Channel = SocketChannel.ForAddress(address, configure: options =>
            options.CompressionProviders = ObservedCompressionProvider.All(() => _compressed = true));
        Stub = new TestService.TestServiceClient(Channel);
    }

    public UnixSocketAddress Address { get; }

    public GrpcChannel Channel { get; }

    public TestService.TestServiceClient Stub { get; }

    /// <summary>
    /// The deadline of a call that starts now. Calls take milliseconds; the deadline only prevents a hang.
    /// </summary>
    public static DateTime Deadline => DateTime.UtcNow.AddSeconds(30);

    /// <summary>Whether the last response was compressed. Call it once after each response.</summary>
    public bool TakeCompressed()
    {
        var compressed = _compressed;
        _compressed = false;
        return compressed;
    }

    public void Dispose() => Channel.Dispose();
}
