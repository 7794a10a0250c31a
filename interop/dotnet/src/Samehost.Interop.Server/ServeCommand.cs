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
    /// With Kestrel's default of 100, most of the 1000 calls of concurrent_large_unary would wait, because the calls of
    /// a client share one connection.
    /// </summary>
    private const int MaxStreamsPerConnection = 1100;

    private const UnixFileMode AnyMode = (UnixFileMode)0b111_111_111;

    public static Command Create()
    {
        var socket = CommandLine.SocketOption();
        var mode = new Option<UnixFileMode>("--mode")
        {
            Description = "Permissions of the socket in octal. [0660]",
            HelpName = "OCTAL",
            DefaultValueFactory = _ => new SocketListenerOptions().Mode,
            CustomParser = result => CommandLine.Parse(result, ParseMode),
        };
        var group = new Option<uint?>("--group")
        {
            Description = "Group of the socket, by name or number. [group of the process]",
            HelpName = "NAME|GID",
            CustomParser = result => CommandLine.Parse<uint?>(result, text => UnixGroup.Parse(text)),
        };
        var trustFolder = new Option<bool>("--trust-folder")
        {
            Description = "Serve in a folder that every user can write to.",
        };
        var takeover = new Option<bool>("--takeover")
        {
            Description = "Take over the path from a running server.",
        };
        var onRemoved = new Option<string>("--on-removed")
        {
            Description = "When the socket was removed: continue to serve, or stop with exit code 1. [serve]",
            DefaultValueFactory = _ => "serve",
        }.AcceptOnlyFromAmong("serve", "stop");
        var grace = CommandLine.SecondsOption("--grace", "Time for calls to finish, in seconds.", 5, zeroAllowed: true);

        var command = new Command("serve", "Serve Greeter, grpc.testing.TestService, health and reflection.")
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
                Environment.ExitCode = CommandLine.Failed; // so that a supervisor restarts the program
                server.Lifetime.StopApplication();
            });
        }

        try
        {
            await server.StartAsync();
        }
        catch (OperationCanceledException)
        {
            return 0; // a signal arrived during the start
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
        // Empty, so that the program listens only on the socket and ignores ASPNETCORE_URLS and appsettings.json.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.ListenOnSocket(address, configure).WebHost
            .UseKestrelCore()
            .ConfigureKestrel(kestrel => kestrel.Limits.Http2.MaxStreamsPerConnection = MaxStreamsPerConnection);

        builder.Logging
            .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace) // stdout is for the ready line
            .AddSimpleConsole(console => console.SingleLine = true)
            .SetMinimumLevel(LogLevel.Warning) // logging each request costs more than the request
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None) // Program prints errors
            .AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None); // stopping is not an error

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
        // Health.Watch gets its states from a publisher, which by default starts after 5 s.
        builder.Services.Configure<HealthCheckPublisherOptions>(publisher => publisher.Delay = TimeSpan.Zero);

        builder.Services
            .AddSingleton<IHostLifetime, SignalLifetime>()
            // Kestrel waits this long for calls in progress, and then aborts their connections.
            .Configure<HostOptions>(host => host.ShutdownTimeout = grace)
            .AddSingleton<LoadReports>()
            .AddHttpContextAccessor()
            .AddOptions<GrpcServiceOptions<InteropService>>()
            .Configure<IHttpContextAccessor>((service, accessor) =>
            {
                service.Observe(accessor);
                service.ResponseCompressionAlgorithm = "gzip"; // allows compression, which each message selects
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
            // The error is thrown below.
        }

        throw new FormatException($"invalid --mode '{text}': use octal permissions from 0000 to 0777, such as 0660");
    }
}
