using Grpc.Net.Client;

namespace Samehost;

/// <summary>Creates gRPC channels over a Unix domain socket.</summary>
public static class SocketChannel
{
    /// <summary>
    /// The window of a stream is fixed, because the default of HTTP/2, 64 KiB, would stop a message of megabytes
    /// several times. By default, .NET sends pings to measure a better window. C-core servers answer them with a
    /// GOAWAY, too_many_pings (dotnet/runtime 97131), and a ping can break a connection that is being closed. Therefore
    /// the pings are turned off.
    /// </summary>
    private const int StreamWindowBytes = 1024 * 1024;

    private const string NoWindowPings = "System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing";

    /// <summary>
    /// Turns off the pings, unless the program has set the switch. The switch applies to the whole process, and .NET
    /// reads it at the first request.
    /// </summary>
    static SocketChannel()
    {
        if (!AppContext.TryGetSwitch(NoWindowPings, out _))
        {
            AppContext.SetSwitch(NoWindowPings, true);
        }
    }

    /// <summary>Creates a channel to the server on a socket. It connects at the first call.</summary>
    /// <example>
    /// <code>using var channel = SocketChannel.ForAddress(UnixSocketAddress.Parse("/run/app/app.sock"));</code>
    /// </example>
    /// <param name="address">The address of the socket.</param>
    /// <param name="wait">
    /// How long a call waits for a server that starts later, within its deadline. The default is 0: the call fails at
    /// once. <see cref="Timeout.InfiniteTimeSpan"/> waits until the deadline.
    /// </param>
    /// <param name="configure">Changes other options of the channel. The handler is already set.</param>
    /// <exception cref="ArgumentOutOfRangeException">The wait is negative.</exception>
    public static GrpcChannel ForAddress(
        UnixSocketAddress address, TimeSpan wait = default, Action<GrpcChannelOptions>? configure = null)
    {
        var options = new GrpcChannelOptions { HttpHandler = CreateHandler(address, wait), DisposeHttpClient = true };
        configure?.Invoke(options);
        // The host of this URI becomes the :authority. Kestrel and other servers reject a path there (grpc/grpc 34305).
        return GrpcChannel.ForAddress("http://localhost", options);
    }

    /// <summary>
    /// Creates the HTTP handler of such a channel, for <c>ConfigurePrimaryHttpMessageHandler</c> of a client factory.
    /// Its address must be <c>http://localhost</c>.
    /// </summary>
    /// <inheritdoc cref="ForAddress" path="/param"/>
    /// <inheritdoc cref="ForAddress" path="/exception"/>
    public static HttpMessageHandler CreateHandler(UnixSocketAddress address, TimeSpan wait = default) =>
        new BrokenConnectionHandler(new SocketsHttpHandler
        {
            ConnectCallback = new SocketDialer(address, wait).ConnectAsync,
            InitialHttp2StreamWindowSize = StreamWindowBytes,
            // Otherwise http_proxy in the environment would send the calls to a proxy.
            UseProxy = false,
        });
}
