using System.CommandLine;
using Grpc.AspNetCore.Server;
using Grpc.Testing;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Samehost.AspNetCore;

namespace Samehost.Interop.Server;

/// <summary>The command <c>serve</c>: serves until SIGTERM or SIGINT.</summary>
internal static class ServeCommand
{
    /// <summary>
    /// Kestrel's 100 would make the rest of the 1000 calls of concurrent_large_unary wait: over a socket, a client's calls
    /// share one connection.
    /// </summary>
    private const int MaxStreamsPerConnection = 1100;

    private const UnixFileMode AnyMode = (UnixFileMode)0b111_111_111;

    public static Command Create()
    {
        var socket = CommandLine.SocketOption();
        var mode = new Option<UnixFileMode>("--mode")
        {
            Description = "Permissions of the socket. [0660]",
            HelpName = "OCTAL",
            DefaultValueFactory = _ => new SocketListenerOptions().Mode,
            CustomParser = result => CommandLine.Parse(result, ParseMode),
        };
        var group = new Option<uint?>("--group")
        {
            Description = "Group of the socket, a name or a number. [the process's]",
            HelpName = "NAME|GID",
            CustomParser = result => CommandLine.Parse<uint?>(result, text => UnixGroup.Parse(text)),
        };
        var trustFolder = new Option<bool>("--trust-folder")
        {
            Description = "Serve in a folder that every user may write to.",
        };
        var takeover = new Option<bool>("--takeover")
        {
            Description = "Take the path over from a server that serves there.",
        };
        var onRemoved = new Option<string>("--on-removed")
        {
            Description = "When someone removes the socket, serve what is in progress on, or stop with code 1. [serve]",
            DefaultValueFactory = _ => "serve",
        }.AcceptOnlyFromAmong("serve", "stop");
        var grace = CommandLine.SecondsOption("--grace", "Seconds that calls have to finish.", 5, zeroAllowed: true);

        var command = new Command("serve", "Serves Greeter, grpc.testing.TestService, health and reflection.")
        {
            socket, mode, group, trustFolder, takeover, onRemoved, grace,
        };
        command.SetAction(async (parsed, _) =>
        {
            var address = parsed.GetRequiredValue(socket);
            await using var server = Build(address, parsed.GetValue(grace), options =>
            {
                options.Mode = parsed.GetValue(mode);
                options.GroupId = parsed.GetValue(group);
                options.Owner = GrpcLibrary.Description;
                options.TrustFolder = parsed.GetValue(trustFolder);
                options.AllowTakeover = true;
                options.TakeOver = parsed.GetValue(takeover);
            });
            return await ServeAsync(server, address, stopWhenRemoved: parsed.GetValue(onRemoved) == "stop");
        });
        return command;
    }

    private static async Task<int> ServeAsync(WebApplication server, UnixSocketAddress address, bool stopWhenRemoved)
    {
        if (stopWhenRemoved)
        {
            server.Services.GetRequiredService<SocketListener>().Removed.Register(() =>
            {
                Environment.ExitCode = CommandLine.Failed; // so that whoever supervises the process starts it again
                server.Lifetime.StopApplication();
            });
        }

        try
        {
            await server.StartAsync();
        }
        catch (OperationCanceledException)
        {
            return 0; // a signal came first
        }
        catch (SamehostException error) when (error.Error is SamehostError.UnsafeFolder)
        {
            throw new IOException($"{error.Message}, or use --trust-folder", error);
        }

        Console.WriteLine(new ReadyLine(
            address.ToString(), Environment.ProcessId, GrpcLibrary.Name, GrpcLibrary.Version));
        await server.WaitForShutdownAsync();
        return Environment.ExitCode;
    }

    private static WebApplication Build(
        UnixSocketAddress address, TimeSpan grace, Action<SocketListenerOptions> configure)
    {
        // Empty, because the socket is all that this program listens on, whatever ASPNETCORE_URLS and appsettings.json say.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.ListenOnSocket(address, configure).WebHost
            .UseKestrelCore()
            .ConfigureKestrel(kestrel => kestrel.Limits.Http2.MaxStreamsPerConnection = MaxStreamsPerConnection);

        builder.Logging
            .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace) // stdout is for the ready line
            .AddSimpleConsole(console => console.SingleLine = true)
            .SetMinimumLevel(LogLevel.Warning) // the default log of each request costs more than the request
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None) // errors are said once, in one line
            .AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None); // to stop is no error

        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = InteropService.MaxMessageBytes;
            grpc.MaxSendMessageSize = InteropService.MaxMessageBytes;
        });
        builder.Services.AddGrpcReflection();
        builder.Services.AddGrpcHealthChecks(health =>
        {
            foreach (var service in new[]
            {
                Greeter.V1.GreeterService.Descriptor, TestService.Descriptor, Xds.Service.Orca.V3.OpenRcaService.Descriptor,
            })
            {
                health.Services.Map(service.FullName, _ => true);
            }
        }).AddCheck<ServingHealthCheck>("serving");
        // Health.Watch is told by a publisher, which without this begins to do so after 5 s.
        builder.Services.Configure<HealthCheckPublisherOptions>(publisher => publisher.Delay = TimeSpan.Zero);

        builder.Services
            .AddSingleton<IHostLifetime, SignalLifetime>()
            // So long Kestrel waits for calls in progress; then it aborts their connections.
            .Configure<HostOptions>(host => host.ShutdownTimeout = grace)
            .AddSingleton<LoadReports>()
            .AddHttpContextAccessor()
            .AddOptions<GrpcServiceOptions<InteropService>>()
            .Configure<IHttpContextAccessor>((service, accessor) =>
            {
                service.Observe(accessor);
                service.ResponseCompressionAlgorithm = "gzip"; // lets messages be compressed; each says whether it is
            });

        var server = builder.Build();
        server.MapGrpcService<GreeterService>();
        server.MapGrpcService<InteropService>();
        server.MapGrpcService<OpenRcaService>();
        server.MapGrpcHealthChecksService();
        server.MapGrpcReflectionService();
        return server;
    }

    private static UnixFileMode ParseMode(string text)
    {
        try
        {
            var digits = text.StartsWith("0o", StringComparison.Ordinal) ? text[2..] : text;
            if (digits is [>= '0' and <= '7', ..] && (UnixFileMode)Convert.ToInt32(digits, 8) is var mode
                && (mode & ~AnyMode) == 0)
            {
                return mode;
            }
        }
        catch (Exception error) when (error is FormatException or OverflowException)
        {
            // said below
        }

        throw new FormatException($"invalid --mode '{text}': use octal permissions from 0000 to 0777, such as 0660");
    }
}
