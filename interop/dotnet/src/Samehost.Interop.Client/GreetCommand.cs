using System.CommandLine;
using Grpc.Core;
using Samehost.Greeter.V1;

namespace Samehost.Interop.Client;

/// <summary>The command <c>greet</c>: makes all four kinds of call of Greeter and prints the messages.</summary>
internal static class GreetCommand
{
    public static Command Create()
    {
        var socket = CommandLine.SocketOption();
        var name = new Option<string>("--name") { Description = "Name to greet.", HelpName = "NAME", Required = true };
        var timeout = CommandLine.SecondsOption("--timeout", "Timeout of each call in seconds.", 5, zeroAllowed: false);
        var command = new Command("greet", "Make all four kinds of call of Greeter and print the messages.")
        {
            socket, name, timeout,
        };
        command.SetAction((parsed, _) => GreetAsync(
            parsed.GetRequiredValue(socket), parsed.GetRequiredValue(name), parsed.GetValue(timeout)));
        return command;
    }

    private static async Task<int> GreetAsync(UnixSocketAddress address, string name, TimeSpan timeout)
    {
        await Server.WaitAsync(address, timeout);
        using var channel = SocketChannel.ForAddress(address, wait: timeout);
        try
        {
            var greeter = new GreeterService.GreeterServiceClient(channel);
            await foreach (var exchange in Greetings.GreetAsync(greeter, name, timeout))
            {
                Print(exchange);
            }
        }
        catch (RpcException error)
        {
            throw await Server.ExplainAsync(error, address);
        }

        return 0;
    }

    private static void Print(Exchange exchange)
    {
        Console.WriteLine(exchange.Method);
        foreach (var text in exchange.Sent)
        {
            Console.WriteLine($"  > {text}");
        }

        foreach (var text in exchange.Received)
        {
            Console.WriteLine($"  < {text}");
        }
    }
}
