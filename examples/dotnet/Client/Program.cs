// A gRPC client on a Unix domain socket: dotnet run --project Client PATH NAME

using System.Net.Sockets;
using Grpc.Net.Client;
using Samehost.Greeter.V1;

var (path, name) = (args[0], args[1]);
using var handler = new SocketsHttpHandler
{
    ConnectCallback = async (_, cancellationToken) =>
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    },
};

// The host of this address becomes the :authority. The callback opens the connection.
using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler });
var greeter = new GreeterService.GreeterServiceClient(channel);
var response = await greeter.GreetAsync(new GreetRequest { Name = name }, deadline: DateTime.UtcNow.AddSeconds(5));
Console.WriteLine(response.Message);
