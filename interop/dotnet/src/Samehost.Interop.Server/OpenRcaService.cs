using Grpc.Core;
using Xds.Data.Orca.V3;
using Xds.Service.Orca.V3;

namespace Samehost.Interop.Server;

/// <summary>Sends the server's load report until the client cancels the call (gRFC A51).</summary>
internal sealed class OpenRcaService(LoadReports reports) : Xds.Service.Orca.V3.OpenRcaService.OpenRcaServiceBase
{
    /// <summary>
    /// The shortest interval between reports. gRFC A51 specifies 30 s for production and allows less for tests. Ten
    /// small messages per second cost little, and tests finish sooner.
    /// </summary>
    private static readonly TimeSpan MinInterval = TimeSpan.FromSeconds(0.1);

    private static readonly TimeSpan MaxInterval = TimeSpan.FromDays(1);

    /// <summary>Sends the report at once, and then once per interval.</summary>
    public override async Task StreamCoreMetrics(
        OrcaLoadReportRequest request, IServerStreamWriter<OrcaLoadReport> responseStream, ServerCallContext context)
    {
        var seconds = request.ReportInterval is { } interval ? interval.Seconds + (interval.Nanos / 1e9) : 0;
        using var timer = new PeriodicTimer(
            TimeSpan.FromSeconds(Math.Clamp(seconds, MinInterval.TotalSeconds, MaxInterval.TotalSeconds)));
        do
        {
            await responseStream.WriteAsync(reports.Current);
        }
        while (await timer.WaitForNextTickAsync(context.CancellationToken));
    }
}

/// <summary>The server's single report out of band. TestService sets it, and OpenRcaService sends it.</summary>
internal sealed class LoadReports
{
    private volatile OrcaLoadReport _current = new();

    /// <summary>The current report. Replace it instead of changing it.</summary>
    public OrcaLoadReport Current
    {
        get => _current;
        set => _current = value;
    }

    /// <summary>Held by a call that sets the report, because each caller expects to receive its own.</summary>
    public SemaphoreSlim Turn { get; } = new(1);
}
