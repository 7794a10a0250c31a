using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Samehost.AspNetCore;

/// <summary>Lets Kestrel serve gRPC on Unix domain sockets.</summary>
public static class SocketListenerExtensions
{
    /// <summary>
    /// Listens on a socket whose file is there exactly while the server serves. It replaces the file of a server that was
    /// killed. A host may listen on several sockets, and beside them on what Kestrel is told otherwise.
    /// </summary>
    /// <example>
    /// <code>builder.ListenOnSocket(UnixSocketAddress.Parse("/run/app/app.sock"));</code>
    /// </example>
    /// <remarks>
    /// <para>
    /// Starting the host throws <see cref="SamehostException"/> if the path cannot be served. With
    /// <see cref="SocketListenerOptions.TakeOver"/> it may wait for seconds; the token of the start cancels that.
    /// </para>
    /// <para>
    /// Stopping the host removes the file first, then moves clients off their connections, and lets calls in progress finish
    /// within <see cref="HostOptions.ShutdownTimeout"/>. Kestrel's minimum data rates are turned off, also for its other
    /// endpoints.
    /// </para>
    /// </remarks>
    /// <param name="builder">The builder of a web application, or of another host with Kestrel.</param>
    /// <param name="address">Where to listen.</param>
    /// <param name="configure">
    /// Sets the options, which are <see cref="IOptionsMonitor{TOptions}"/>'s by the name of the path.
    /// </param>
    public static TBuilder ListenOnSocket<TBuilder>(
        this TBuilder builder, UnixSocketAddress address, Action<SocketListenerOptions>? configure = null)
        where TBuilder : IHostApplicationBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(address);
        var services = builder.Services;
        services.AddOptions<SocketListenerOptions>(address.Path)
            .Configure(options => configure?.Invoke(options))
            .PostConfigure<IHostEnvironment>((options, host) => options.Owner ??= host.ApplicationName);
        services.AddSingleton(container => new SocketListener(
            address,
            container.GetRequiredService<IOptionsMonitor<SocketListenerOptions>>().Get(address.Path),
            container.GetRequiredService<ILogger<SocketListener>>()));
        services.AddOptions<KestrelServerOptions>()
            .Configure<ConnectionDrain>((kestrel, drain) => Listen(kestrel, address, drain));
        services.AddOptions<SocketTransportOptions>().Configure<IEnumerable<SocketListener>>((transport, listeners) =>
        {
            var bindOther = transport.CreateBoundListenSocket;
            transport.CreateBoundListenSocket = endPoint =>
                endPoint is UnixDomainSocketEndPoint && endPoint.ToString() == address.Path
                    ? listeners.First(listener => listener.Address == address).Bind()
                    : bindOther(endPoint);
        });
        services.TryAddSingleton<ConnectionDrain>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IStartupFilter, DrainFilter>());
        services.AddHostedService<SocketListenerService>(); // one for all sockets
        return builder;
    }

    private static void Listen(KestrelServerOptions kestrel, UnixSocketAddress address, ConnectionDrain drain)
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
    }

    /// <summary>Puts the drain ahead of all that answers requests.</summary>
    private sealed class DrainFilter(ConnectionDrain drain) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => application =>
        {
            application.Use(drain.RespondAsync);
            next(application);
        };
    }
}
