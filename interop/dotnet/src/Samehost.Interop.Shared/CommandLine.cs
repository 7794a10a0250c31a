using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Samehost.Interop;

/// <summary>The options, exit codes and one-line errors that PROTOCOL.md requires of every program.</summary>
public static class CommandLine
{
    /// <summary>The exit code of a program that failed.</summary>
    public const int Failed = 1;

    /// <summary>The exit code for wrong usage.</summary>
    public const int WrongUsage = 2;

    /// <summary>One day, because a timer of .NET cannot wait for more than 49 days.</summary>
    private const int MaxSeconds = 24 * 60 * 60;

    private const string SocketName = "--socket";

    /// <summary>Creates the option for the path of the socket.</summary>
    public static Option<UnixSocketAddress> SocketOption() => new(SocketName)
    {
        Description = "Absolute path of the socket.",
        HelpName = "PATH",
        Required = true,
        CustomParser = result => Parse(result, UnixSocketAddress.Parse),
    };

    /// <summary>Creates an option with a value in seconds.</summary>
    public static Option<TimeSpan> SecondsOption(string name, string description, double byDefault, bool zeroAllowed) =>
        new(name)
        {
            Description = string.Create(CultureInfo.InvariantCulture, $"{description} [{byDefault}]"),
            HelpName = "SECONDS",
            DefaultValueFactory = _ => TimeSpan.FromSeconds(byDefault),
            CustomParser = result => Parse(result, text => ParseSeconds(name, text, zeroAllowed)),
        };

    /// <summary>Parses the value of an option. A <see cref="FormatException"/> becomes wrong usage.</summary>
    public static T? Parse<T>(ArgumentResult result, Func<string, T> parse)
    {
        try
        {
            return parse(result.Tokens[0].Value);
        }
        catch (FormatException error)
        {
            result.AddError(error.Message);
            return default;
        }
    }

    /// <summary>Runs the command of a program, and returns the exit code.</summary>
    public static async Task<int> RunAsync(RootCommand command, string[] arguments)
    {
        var parsed = command.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var socket = parsed.GetResult(SocketName) is OptionResult { Tokens: [var token, ..] } ? token.Value : "";
        if (parsed.Action is ParseErrorAction)
        {
            return Fail(WrongUsage, parsed.Errors[0].Message, socket);
        }

        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                // The host handles signals. A second handler would end the program before calls have finished.
                ProcessTerminationTimeout = null,
            });
        }
        catch (IOException error)
        {
            return Fail(Failed, error.Message, socket);
        }
    }

    /// <summary>Puts a text on one line.</summary>
    public static string OneLine(string text) =>
        string.Join(' ', text.Split(null as char[], StringSplitOptions.RemoveEmptyEntries));

    private static int Fail(int exitCode, string message, string socket)
    {
        var where = message.Contains(socket, StringComparison.Ordinal) ? "" : $" (socket {socket})";
        Console.Error.WriteLine($"samehost-interop-dotnet: {OneLine(message)}{where}");
        return exitCode;
    }

    private static TimeSpan ParseSeconds(string name, string text, bool zeroAllowed)
    {
        var isNumber = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds);
        if (!isNumber || !(seconds <= MaxSeconds) || seconds < 0 || (seconds == 0 && !zeroAllowed))
        {
            var least = zeroAllowed ? "0" : "more than 0, up";
            throw new FormatException($"invalid {name} '{text}': use {least} to {MaxSeconds} seconds");
        }

        return TimeSpan.FromSeconds(seconds);
    }
}
