using Grpc.Net.Client;

namespace Samehost.Interop.Client;

/// <summary>Makes gRPC channels over a Unix domain socket.</summary>
public static class SocketChannel
{
    /// <summary>
    /// HTTP/2's 64 KiB would stop a message of megabytes several times on its way. By default .NET finds out a better window
    /// by pings, which C-core's servers punish with a GOAWAY, too_many_pings (dotnet/runtime 97131), and which can break a
    /// connection that is just being closed; so the project file turns them off
    /// (System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing), and the window is fixed.
    /// </summary>
    private const int StreamWindowBytes = 1024 * 1024;

    /// <summary>Makes a channel to the server on a socket.</summary>
    /// <example>
    /// <code>using var channel = SocketChannel.ForAddress(UnixSocketAddress.Parse("unix:/run/app/app.sock"));</code>
    /// </example>
    /// <param name="address">Where the server listens.</param>
    /// <param name="wait">How long a call may wait for a server that is not there yet, within its deadline.</param>
    /// <param name="options">Further options; the handler and its disposal are set here.</param>
    public static GrpcChannel ForAddress(
        UnixSocketAddress address, TimeSpan wait = default, GrpcChannelOptions? options = null)
    {
        options ??= new GrpcChannelOptions();
        options.HttpHandler = new BrokenConnectionHandler(new SocketsHttpHandler
        {
            ConnectCallback = new SocketDialer(address, wait).ConnectAsync,
            InitialHttp2StreamWindowSize = StreamWindowBytes,
            // Or else http_proxy in the environment has a proxy asked for "localhost".
            UseProxy = false,
        });
        options.DisposeHttpClient = true;
        // The host of this URI becomes the :authority, in which Kestrel and others take no path (grpc/grpc 34305).
        return GrpcChannel.ForAddress("http://localhost", options);
    }
}
