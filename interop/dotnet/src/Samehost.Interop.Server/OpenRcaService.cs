using Grpc.Core;
using Xds.Data.Orca.V3;
using Xds.Service.Orca.V3;

namespace Samehost.Interop.Server;

/// <summary>Sends the server's load report for as long as one listens (gRFC A51).</summary>
internal sealed class OpenRcaService(LoadReports reports) : Xds.Service.Orca.V3.OpenRcaService.OpenRcaServiceBase
{
    /// <summary>
    /// How often a report is sent at most. gRFC A51 has 30 s for production and lets tests have less; ten small messages a
    /// second cost nothing, and a test is done the sooner.
    /// </summary>
    private static readonly TimeSpan MinInterval = TimeSpan.FromSeconds(0.1);

    private static readonly TimeSpan MaxInterval = TimeSpan.FromDays(1);

    /// <summary>Sends the report at once, then once in each interval.</summary>
    public override async Task StreamCoreMetrics(
        OrcaLoadReportRequest request, IServerStreamWriter<OrcaLoadReport> responseStream, ServerCallContext context)
    {
        var seconds = request.ReportInterval is { } asked ? asked.Seconds + (asked.Nanos / 1e9) : 0;
        using var timer = new PeriodicTimer(
            TimeSpan.FromSeconds(Math.Clamp(seconds, MinInterval.TotalSeconds, MaxInterval.TotalSeconds)));
        do
        {
            await responseStream.WriteAsync(reports.Current);
        }
        while (await timer.WaitForNextTickAsync(context.CancellationToken));
    }
}

/// <summary>The server's report out of band: one, which TestService sets and OpenRcaService sends.</summary>
internal sealed class LoadReports
{
    private volatile OrcaLoadReport _current = new();

    /// <summary>The report; never changed, only replaced.</summary>
    public OrcaLoadReport Current
    {
        get => _current;
        set => _current = value;
    }

    /// <summary>Held by a call that sets the report: there is one, and each caller expects its own.</summary>
    public SemaphoreSlim Turn { get; } = new(1);
}
