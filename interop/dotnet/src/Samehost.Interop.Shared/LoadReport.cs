using Grpc.Testing;
using Xds.Data.Orca.V3;

namespace Samehost.Interop;

/// <summary>Backend metrics (ORCA, gRFC A51), which have no library in .NET: a message, and the name of a trailer.</summary>
public static class LoadReport
{
    /// <summary>The trailer with one call's serialized report.</summary>
    public const string Trailer = "endpoint-load-metrics-bin";

    /// <summary>The report on the wire for the one that a test asks for.</summary>
    public static OrcaLoadReport From(TestOrcaReport report) => new()
    {
        CpuUtilization = report.CpuUtilization,
        MemUtilization = report.MemoryUtilization,
        RequestCost = { report.RequestCost },
        Utilization = { report.Utilization },
    };
}
