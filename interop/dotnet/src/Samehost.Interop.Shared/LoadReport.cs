using Grpc.Testing;
using Xds.Data.Orca.V3;

namespace Samehost.Interop;

/// <summary>Backend metrics (ORCA, gRFC A51), for which .NET has no library.</summary>
public static class LoadReport
{
    /// <summary>The name of the trailer with the serialized report of a call.</summary>
    public const string Trailer = "endpoint-load-metrics-bin";

    /// <summary>Converts the report that a test requests to the report on the wire.</summary>
    public static OrcaLoadReport From(TestOrcaReport report) => new()
    {
        CpuUtilization = report.CpuUtilization,
        MemUtilization = report.MemoryUtilization,
        RequestCost = { report.RequestCost },
        Utilization = { report.Utilization },
    };
}
