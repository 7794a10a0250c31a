using System.CommandLine;
using Samehost.Interop.Client.Cases;

namespace Samehost.Interop.Client;

/// <summary>The command <c>interop</c>: runs official cases and prints a line of JSON for each of them.</summary>
internal static class InteropCommand
{
    /// <summary>How long to wait for the server before the first case.</summary>
    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        var socket = CommandLine.SocketOption();
        var cases = new Option<string[]>("--case")
        {
            Description = "Official case to run. Can be repeated.",
            HelpName = "NAME",
            Required = true,
        };
        cases.Validators.Add(result =>
        {
            foreach (var name in result.Tokens.Select(token => token.Value).Where(name => !CaseRunner.Knows(name)))
            {
                result.AddError($"invalid --case '{name}': use one of {string.Join(", ", CaseRunner.Names)}");
            }
        });
        var command = new Command("interop", "Run official cases. The exit code is 0 if all pass.") { socket, cases };
        command.SetAction((parsed, _) => RunAsync(parsed.GetRequiredValue(socket), parsed.GetRequiredValue(cases)));
        return command;
    }

    private static async Task<int> RunAsync(UnixSocketAddress address, string[] names)
    {
        await Server.WaitAsync(address, Wait);
        var allPassed = true;
        foreach (var name in names)
        {
            var result = await CaseRunner.RunAsync(address, name);
            Console.WriteLine(result);
            allPassed &= result.Result == CaseRunner.Pass;
        }

        return allPassed ? 0 : CommandLine.Failed;
    }
}
