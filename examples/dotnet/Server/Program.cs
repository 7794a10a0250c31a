// A gRPC server on a Unix domain socket: dotnet run --project Server [PATH]

using Grpc.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Samehost.Greeter.V1;

var path = args is [var given, ..] ? given : "/tmp/greeter.sock";
File.Delete(path); // Kestrel does not remove the socket of a killed server.

var builder = WebApplication.CreateBuilder();
builder.Logging.ClearProviders();
builder.Services.AddGrpc();
builder.WebHost.ConfigureKestrel(kestrel =>
    kestrel.ListenUnixSocket(path, listen => listen.Protocols = HttpProtocols.Http2));

var app = builder.Build();
app.MapGrpcService<Greeter>();
await app.StartAsync();
Console.WriteLine($"listening on {path}");
await app.WaitForShutdownAsync();

internal sealed class Greeter : GreeterService.GreeterServiceBase
{
    public override Task<GreetResponse> Greet(GreetRequest request, ServerCallContext context) =>
        Task.FromResult(new GreetResponse { Message = $"Hello, {request.Name}!" });
}
