using System.Globalization;
using System.Text;
using Grpc.Core;
using Samehost.Greeter.V1;

namespace Samehost.Interop.Server;

/// <summary>The example service, with all four kinds of call.</summary>
internal sealed class GreeterService : Greeter.V1.GreeterService.GreeterServiceBase
{
    private const int MaxName = 256;
    private const int MaxText = 4096;
    private const int MaxIntervalSeconds = 60;

    private static readonly OrderedDictionary<string, string> Greetings = new()
    {
        ["de"] = "Hallo, {0}!",
        ["en"] = "Hello, {0}!",
        ["es"] = "¡Hola, {0}!",
        ["fr"] = "Bonjour, {0} !",
        ["ja"] = "こんにちは、{0}さん！",
    };

    /// <summary>Greets one person.</summary>
    public override Task<GreetResponse> Greet(GreetRequest request, ServerCallContext context)
    {
        RefuseName(request.Name);
        return Task.FromResult(new GreetResponse { Message = Greeting("en", request.Name) });
    }

    /// <summary>Greets one person in several languages, one after the other.</summary>
    public override async Task GreetInLanguages(
        GreetInLanguagesRequest request,
        IServerStreamWriter<GreetInLanguagesResponse> responseStream,
        ServerCallContext context)
    {
        foreach (var language in request.Languages)
        {
            Refuse(
                !Greetings.ContainsKey(language),
                $"invalid languages: '{language}' is unknown; use {string.Join(", ", Greetings.Keys)}");
        }

        // ToTimeSpan() would throw if the Duration is out of range.
        var interval = request.Interval is { } duration ? duration.Seconds + (duration.Nanos / 1e9) : 0;
        Refuse(
            interval is < 0 or > MaxIntervalSeconds,
            string.Create(
                CultureInfo.InvariantCulture,
                $"invalid interval: {interval:0.0########} seconds; use 0 to {MaxIntervalSeconds} seconds"));
        RefuseName(request.Name);

        var pause = TimeSpan.Zero;
        foreach (var language in request.Languages.Count > 0 ? request.Languages : Greetings.Keys.AsEnumerable())
        {
            await Task.Delay(pause, context.CancellationToken);
            pause = TimeSpan.FromSeconds(interval);
            await responseStream.WriteAsync(
                new GreetInLanguagesResponse { Language = language, Message = Greeting(language, request.Name) });
        }
    }

    /// <summary>Greets all names of the stream at once.</summary>
    public override async Task<GreetTogetherResponse> GreetTogether(
        IAsyncStreamReader<GreetTogetherRequest> requestStream, ServerCallContext context)
    {
        List<string> names = [];
        await foreach (var request in requestStream.ReadAllAsync(context.CancellationToken))
        {
            RefuseName(request.Name);
            names.Add(request.Name);
        }

        Refuse(names.Count == 0, "invalid stream: it has no request; send at least one name");
        var everyone = names is [.. var others, var last] && others.Count > 0
            ? $"{string.Join(", ", others)} and {last}"
            : names[0];
        return new GreetTogetherResponse { Message = Greeting("en", everyone), Count = (uint)names.Count };
    }

    /// <summary>Answers each message as it arrives.</summary>
    public override async Task Converse(
        IAsyncStreamReader<ConverseRequest> requestStream,
        IServerStreamWriter<ConverseResponse> responseStream,
        ServerCallContext context)
    {
        var turn = 0u;
        await foreach (var request in requestStream.ReadAllAsync(context.CancellationToken))
        {
            var length = CharactersOf(request.Text);
            Refuse(length > MaxText, $"text has {length} characters; give at most {MaxText}");
            var text = length > 0 ? $"You said: {request.Text}" : "You said nothing.";
            await responseStream.WriteAsync(new ConverseResponse { Text = text, Turn = ++turn });
        }
    }

    private static string Greeting(string language, string name) =>
        string.Format(CultureInfo.InvariantCulture, Greetings[language], name);

    private static void RefuseName(string name)
    {
        var length = CharactersOf(name);
        Refuse(length is < 1 or > MaxName, $"name has {length} characters; give 1 to {MaxName}");
    }

    /// <summary>Counts characters. The length of a string would count some of them twice.</summary>
    private static int CharactersOf(string text) => text.EnumerateRunes().Count();

    private static void Refuse(bool faulty, string fault)
    {
        if (faulty)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, fault));
        }
    }
}
