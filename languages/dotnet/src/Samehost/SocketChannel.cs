using Grpc.Net.Client;

namespace Samehost;

/// <summary>Makes gRPC channels over a Unix domain socket.</summary>
public static class SocketChannel
{
    /// <summary>
    /// HTTP/2's 64 KiB would stop a message of megabytes several times on its way. By default .NET finds out a better window
    /// by pings, which C-core's servers punish with a GOAWAY, too_many_pings (dotnet/runtime 97131), and which can break a
    /// connection that is just being closed; so they are turned off, and the window is fixed.
    /// </summary>
    private const int StreamWindowBytes = 1024 * 1024;

    private const string NoWindowPings = "System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing";

    /// <summary>Sets what .NET has only for the whole process, and reads at the first request, unless the program did.</summary>
    static SocketChannel()
    {
        if (!AppContext.TryGetSwitch(NoWindowPings, out _))
        {
            AppContext.SetSwitch(NoWindowPings, true);
        }
    }

    /// <summary>Makes a channel to the server on a socket. It connects at the first call.</summary>
    /// <example>
    /// <code>using var channel = SocketChannel.ForAddress(UnixSocketAddress.Parse("/run/app/app.sock"));</code>
    /// </example>
    /// <param name="address">Where the server listens.</param>
    /// <param name="wait">
    /// How long a call waits for a server that starts later, within its deadline. The default is not to wait;
    /// <see cref="Timeout.InfiniteTimeSpan"/> waits until the deadline.
    /// </param>
    /// <param name="configure">Changes further options of the channel; the handler is set before.</param>
    /// <exception cref="ArgumentOutOfRangeException">The wait is negative.</exception>
    public static GrpcChannel ForAddress(
        UnixSocketAddress address, TimeSpan wait = default, Action<GrpcChannelOptions>? configure = null)
    {
        var options = new GrpcChannelOptions { HttpHandler = CreateHandler(address, wait), DisposeHttpClient = true };
        configure?.Invoke(options);
        // The host of this URI becomes the :authority, in which Kestrel and others take no path (grpc/grpc 34305).
        return GrpcChannel.ForAddress("http://localhost", options);
    }

    /// <summary>
    /// Makes the handler of such a channel, for <c>ConfigurePrimaryHttpMessageHandler</c> of a client factory whose address
    /// is <c>http://localhost</c>.
    /// </summary>
    /// <inheritdoc cref="ForAddress" path="/param"/>
    /// <inheritdoc cref="ForAddress" path="/exception"/>
    public static HttpMessageHandler CreateHandler(UnixSocketAddress address, TimeSpan wait = default) =>
        new BrokenConnectionHandler(new SocketsHttpHandler
        {
            ConnectCallback = new SocketDialer(address, wait).ConnectAsync,
            InitialHttp2StreamWindowSize = StreamWindowBytes,
            // Or else http_proxy in the environment has a proxy asked for "localhost".
            UseProxy = false,
        });
}
