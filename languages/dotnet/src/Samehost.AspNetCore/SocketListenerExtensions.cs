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

/// <summary>Adds Unix domain sockets to a host with Kestrel.</summary>
public static class SocketListenerExtensions
{
    /// <summary>
    /// Listens on a Unix domain socket. The socket exists only while the server accepts connections. It replaces the
    /// socket of a server that was killed. A host can listen on several sockets, and on other endpoints of Kestrel.
    /// </summary>
    /// <example>
    /// <code>builder.ListenOnSocket(UnixSocketAddress.Parse("/run/app/app.sock"));</code>
    /// </example>
    /// <remarks>
    /// <para>
    /// Starting the host throws <see cref="SamehostException"/> if it cannot listen on the path. With
    /// <see cref="SocketListenerOptions.TakeOver"/>, the start may wait for up to 7 s. Its cancellation token cancels
    /// the wait.
    /// </para>
    /// <para>
    /// Stopping the host removes the socket, moves clients off their connections, and lets calls in progress finish
    /// within <see cref="HostOptions.ShutdownTimeout"/>.
    /// </para>
    /// <para>
    /// Two settings also affect Kestrel's other endpoints: its minimum data rates are turned off, and a path is accepted
    /// as the <c>:authority</c> of a request.
    /// </para>
    /// </remarks>
    /// <param name="builder">The builder of a web application or another host with Kestrel.</param>
    /// <param name="address">The address of the socket.</param>
    /// <param name="configure">
    /// Sets the options. In <see cref="IOptionsMonitor{TOptions}"/> they have the path as their name.
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
        services.TryAddEnumerable(
            ServiceDescriptor.Singleton<IPostConfigureOptions<KestrelServerOptions>, AuthorityEncoding.Setup>());
        services.AddHostedService<SocketListenerService>(); // one for all sockets
        return builder;
    }

    private static void Listen(KestrelServerOptions kestrel, UnixSocketAddress address, ConnectionDrain drain)
    {
        kestrel.ListenUnixSocket(address.Path, listen =>
        {
            // By default, Kestrel uses HTTP/2 only if TLS negotiates it.
            listen.Protocols = HttpProtocols.Http2;
            listen.Use(drain.Count);
        });
        // By default, Kestrel closes a connection, with all its calls, when a client reads or writes less than 240
        // bytes per second. A gRPC stream may pause for any time.
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
    }

    /// <summary>Adds the drain in front of all other middleware.</summary>
    private sealed class DrainFilter(ConnectionDrain drain) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => application =>
        {
            application.Use(drain.RespondAsync);
            next(application);
        };
    }
}
