using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Samehost.Interop.Server;

/// <summary>Lets Kestrel serve gRPC on a Unix domain socket.</summary>
public static partial class SocketListener
{
    /// <summary>Listens on a socket whose file is there exactly while the server serves.</summary>
    /// <example>
    /// <code>builder.WebHost.ListenOnSocket(UnixSocketAddress.Parse("unix:/run/app/app.sock"));</code>
    /// </example>
    public static IWebHostBuilder ListenOnSocket(
        this IWebHostBuilder webHost, UnixSocketAddress address, SocketListenerOptions? options = null)
    {
        options ??= new SocketListenerOptions();
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
                .AddSingleton(container => new SocketFile(
                    address, options, GrpcLibrary.Description, container.GetRequiredService<ILogger<SocketFile>>()))
                .AddSingleton(drain)
                .AddSingleton(options)
                .AddSingleton<IStartupFilter>(drain)
                .AddHostedService<SocketLifetime>()
                // So long Kestrel waits for calls in progress; then it aborts their connections.
                .Configure<HostOptions>(host => host.ShutdownTimeout = options.Grace)
                .AddOptions<SocketTransportOptions>()
                .Configure<SocketFile>((transport, file) => transport.CreateBoundListenSocket = endPoint =>
                    endPoint is UnixDomainSocketEndPoint && endPoint.ToString() == address.Path
                        ? file.Bind()
                        : SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint)));
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

        [LoggerMessage(LogLevel.Warning, "someone has removed {Path}, or put another in its place: "
            + "no new client finds this server; start it again, and leave the file alone")]
        private partial void LogRemoved(string path);
    }
}
