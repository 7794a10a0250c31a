using System.Reflection;
using Grpc.AspNetCore.Server;

namespace Samehost.Interop.Server;

/// <summary>The gRPC library that serves, as the ready line and the lock name it.</summary>
internal static class GrpcLibrary
{
    public const string Name = "grpc-dotnet";

    /// <summary>Its version, without the commit that follows in the assembly.</summary>
    public static readonly string Version = typeof(GrpcServiceOptions).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public static readonly string Description = $"{Name} {Version}";
}
