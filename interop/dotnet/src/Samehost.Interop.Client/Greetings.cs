using Grpc.Core;
using Samehost.Greeter.V1;

namespace Samehost.Interop.Client;

/// <summary>The messages that a call sent and received, in order.</summary>
internal sealed record Exchange(string Method, IReadOnlyList<string> Sent, IReadOnlyList<string> Received);

/// <summary>Makes the four kinds of call of the example service.</summary>
internal static class Greetings
{
    private static readonly string[] Guests = ["Grace", "Edsger"];

    /// <summary>Makes the calls one after the other, each within the timeout, and returns their messages.</summary>
    public static async IAsyncEnumerable<Exchange> GreetAsync(
        GreeterService.GreeterServiceClient greeter, string name, TimeSpan timeout)
    {
        var greeting = await greeter.GreetAsync(new GreetRequest { Name = name }, deadline: Deadline());
        yield return new Exchange("Greet", [name], [greeting.Message]);

        using var greetings = greeter.GreetInLanguages(
            new GreetInLanguagesRequest { Name = name }, deadline: Deadline());
        List<string> received = [];
        await foreach (var each in greetings.ResponseStream.ReadAllAsync())
        {
            received.Add($"{each.Language}: {each.Message}");
        }

        yield return new Exchange("GreetInLanguages", [name], received);

        string[] party = [name, .. Guests];
        using var together = greeter.GreetTogether(deadline: Deadline());
        foreach (var each in party)
        {
            await together.RequestStream.WriteUnlessEndedAsync(new GreetTogetherRequest { Name = each });
        }

        await together.RequestStream.CompleteAsync();
        yield return new Exchange("GreetTogether", party, [(await together).Message]);

        yield return await ConverseAsync(greeter, name, Deadline());

        DateTime Deadline() => DateTime.UtcNow + timeout;
    }

    private static async Task<Exchange> ConverseAsync(
        GreeterService.GreeterServiceClient greeter, string name, DateTime deadline)
    {
        using var conversation = greeter.Converse(deadline: deadline);
        List<string> sent = [];
        List<string> received = [];
        await SendAsync($"{name} here.");
        await SendAsync($"I heard: {received[^1]}"); // depends on the previous answer
        await SendAsync("Goodbye!");
        await conversation.RequestStream.CompleteAsync();
        await foreach (var answer in conversation.ResponseStream.ReadAllAsync())
        {
            received.Add(answer.Text);
        }

        return new Exchange("Converse", sent, received);

        async Task SendAsync(string text)
        {
            sent.Add(text);
            await conversation.RequestStream.WriteUnlessEndedAsync(new ConverseRequest { Text = text });
            if (await conversation.ResponseStream.MoveNext(CancellationToken.None))
            {
                received.Add(conversation.ResponseStream.Current.Text);
            }
        }
    }
}
