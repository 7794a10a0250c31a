using System.CommandLine;
using Samehost.Interop;
using Samehost.Interop.Client;

return await CommandLine.RunAsync(
    new RootCommand("The .NET client of the interop matrix.") { GreetCommand.Create(), InteropCommand.Create() }, args);
