using System.Reflection;
using Grpc.AspNetCore.Server;

namespace Samehost.Interop.Server;

/// <summary>The name and version of the gRPC library, for the ready line and the lock file.</summary>
internal static class GrpcLibrary
{
    public const string Name = "grpc-dotnet";

    /// <summary>The version, without the commit that the assembly appends.</summary>
    public static readonly string Version = typeof(GrpcServiceOptions).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public static readonly string Description = $"{Name} {Version}";
}
