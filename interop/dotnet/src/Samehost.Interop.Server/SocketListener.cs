using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Samehost.Interop.Server;

/// <summary>Who may connect to a server's socket, and how its calls end.</summary>
public sealed class SocketListenerOptions
{
    /// <summary>Permissions of the socket. Connecting takes <em>write</em> permission (unix(7)).</summary>
    public UnixFileMode Mode { get; set; } = UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>The group of the socket; null is the process's own.</summary>
    public uint? GroupId { get; set; }

    /// <summary>
    /// Take the path over from a server that serves there, of whatever language: it hands its lock over, drains and goes,
    /// and its <see cref="Grace"/> must outlast its longest call. Where no server is, it makes no difference.
    /// </summary>
    public bool TakeOver { get; set; }

    /// <summary>
    /// Stop, and exit with 1, when someone removes the socket or puts another in its place. Otherwise that is logged, and
    /// the server goes on for those that are connected.
    /// </summary>
    public bool StopWhenRemoved { get; set; }

    /// <summary>How long calls in progress have to finish when the server stops.</summary>
    public TimeSpan Grace { get; set; } = TimeSpan.FromSeconds(5);
}

/// <summary>Lets Kestrel serve gRPC on a Unix domain socket.</summary>
public static partial class SocketListener
{
    /// <summary>Listens on a socket whose file is there exactly while the server serves.</summary>
    /// <example>
    /// <code>builder.WebHost.ListenOnSocket(UnixSocketAddress.Parse("unix:/run/app/app.sock"));</code>
    /// </example>
    /// <exception cref="SamehostException">The path leaves no room for a private name beside it.</exception>
    public static IWebHostBuilder ListenOnSocket(
        this IWebHostBuilder webHost, UnixSocketAddress address, SocketListenerOptions? options = null)
    {
        options ??= new SocketListenerOptions();
        var file = new SocketFile(address, options.Mode, options.GroupId, GrpcLibrary.Description, options.TakeOver);
        var drain = new ConnectionDrain();
        return webHost
            .ConfigureKestrel(kestrel =>
            {
                kestrel.ListenUnixSocket(address.Path, listen =>
                {
                    // By default HTTP/2 is agreed on by TLS, and without TLS it is HTTP/1.1.
                    listen.Protocols = HttpProtocols.Http2;
                    listen.Use(drain.Count);
                });
                // By default Kestrel cuts the connection, and so every call on it, when one peer reads or writes less than
                // 240 bytes a second; a gRPC stream may pause for as long as it likes.
                kestrel.Limits.MinRequestBodyDataRate = null;
                kestrel.Limits.MinResponseDataRate = null;
            })
            .ConfigureServices(services => services
                .AddSingleton(_ => file) // by a factory: what a container has made itself, it disposes of
                .AddSingleton(drain)
                .AddSingleton(options)
                .AddSingleton<IStartupFilter>(drain)
                .AddHostedService<SocketLifetime>()
                .Configure<SocketTransportOptions>(transport => transport.CreateBoundListenSocket = endPoint =>
                    endPoint is UnixDomainSocketEndPoint && endPoint.ToString() == address.Path
                        ? file.Bind()
                        : SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint))
                // So long Kestrel waits for calls in progress; then it aborts their connections.
                .Configure<HostOptions>(host => host.ShutdownTimeout = options.Grace));
    }

    /// <summary>Keeps the file in step with the server around it.</summary>
    private sealed partial class SocketLifetime(
        SocketFile file,
        SocketListenerOptions options,
        ConnectionDrain drain,
        IHostApplicationLifetime host,
        ILogger<SocketFile> logger)
        : IHostedLifecycleService
    {
        /// <summary>Before Kestrel binds.</summary>
        public Task StartingAsync(CancellationToken cancellationToken) => file.ClaimAsync(cancellationToken);

        /// <summary>When Kestrel has started.</summary>
        public Task StartedAsync(CancellationToken cancellationToken)
        {
            file.Publish();
            _ = StopWhenHandedOverAsync();
            _ = WatchAsync();
            return Task.CompletedTask;
        }

        /// <summary>Before Kestrel stops: no client may find a server that goes, and those that have found it move.</summary>
        public Task StoppingAsync(CancellationToken cancellationToken)
        {
            file.Withdraw();
            return drain.RunAsync(cancellationToken);
        }

        /// <summary>A successor that has the path is as good a reason to stop as SIGTERM is.</summary>
        private async Task StopWhenHandedOverAsync()
        {
            try
            {
                if (await file.HandOverAsync(host.ApplicationStopping))
                {
                    host.StopApplication();
                }
            }
            catch (OperationCanceledException)
            {
                // The server goes by itself.
            }
            catch (Exception error) when (error is SamehostException or SocketException)
            {
                LogNoSuccessor(error.Message);
            }
        }

        private async Task WatchAsync()
        {
            try
            {
                await file.WatchAsync(host.ApplicationStopping);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            LogRemoved(file.Address.Path);
            if (options.StopWhenRemoved)
            {
                Environment.ExitCode = CommandLine.Failed; // so that whoever supervises the process starts it again
                host.StopApplication();
            }
        }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        [LoggerMessage(LogLevel.Warning, "there will be no successor: {Reason}")]
        private partial void LogNoSuccessor(string reason);

        [LoggerMessage(LogLevel.Warning, "someone has removed {Path}, or put another in its place: "
            + "no new client finds this server; start it again, and leave the file alone")]
        private partial void LogRemoved(string path);
    }
}
