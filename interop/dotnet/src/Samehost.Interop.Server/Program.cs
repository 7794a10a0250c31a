using System.CommandLine;
using Samehost.Interop;
using Samehost.Interop.Server;

return await CommandLine.RunAsync(
    new RootCommand("The .NET server of the interop matrix.") { ServeCommand.Create() }, args);
