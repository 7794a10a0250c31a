// Serves or calls its own service with the library: Echo serve PATH, or Echo call PATH TEXT.

using System.Runtime.Versioning;
using Echo.V1;
using Grpc.Core;
using Samehost;
using Samehost.AspNetCore;

[assembly: SupportedOSPlatform("linux")]

var address = UnixSocketAddress.Parse(args[1]);
if (args[0] == "serve")
{
    await ServeAsync(address);
}
else
{
    await CallAsync(address, args[2]);
}

static async Task ServeAsync(UnixSocketAddress address)
{
    var builder = WebApplication.CreateBuilder();
    builder.Logging.ClearProviders();
    builder.Services.AddGrpc();
    builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(5));
    builder.ListenOnSocket(address);
    var app = builder.Build();
    app.MapGrpcService<EchoServer>();
    await app.StartAsync();
    Console.WriteLine($"listening on {address.Path}");
    await app.WaitForShutdownAsync();
}

static async Task CallAsync(UnixSocketAddress address, string text)
{
    using var channel = SocketChannel.ForAddress(address, wait: TimeSpan.FromSeconds(5));
    var client = new EchoService.EchoServiceClient(channel);
    var response = await client.EchoAsync(new EchoRequest { Text = text }, deadline: DateTime.UtcNow.AddSeconds(5));
    Console.WriteLine(response.Text);
}

internal sealed class EchoServer : EchoService.EchoServiceBase
{
    public override Task<EchoResponse> Echo(EchoRequest request, ServerCallContext context) =>
        Task.FromResult(new EchoResponse { Text = request.Text });
}
