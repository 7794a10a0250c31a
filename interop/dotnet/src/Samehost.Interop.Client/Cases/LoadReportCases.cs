using System.Diagnostics;
using Grpc.Core;
using Grpc.Testing;
using Xds.Data.Orca.V3;
using Xds.Service.Orca.V3;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases about backend metrics (ORCA, gRFC A51): per call and out of band.</summary>
internal static class LoadReportCases
{
    /// <summary>How long a report may take. The slowest interop servers send one per second.</summary>
    private static readonly TimeSpan MaxReport = TimeSpan.FromSeconds(10);

    public static async Task OrcaPerRpcAsync(Peer peer)
    {
        var request = new SimpleRequest { OrcaPerQueryReport = Requests.PerCallReport };
        using var call = peer.Stub.UnaryCallAsync(request, deadline: Peer.Deadline);
        await call;
        var serialized = call.GetTrailers().GetAll(LoadReport.Trailer).ToList();
        Checks.Equal($"number of {LoadReport.Trailer} in the trailing metadata", 1, serialized.Count);
        Checks.Equal(
            "load report",
            LoadReport.From(Requests.PerCallReport),
            OrcaLoadReport.Parser.ParseFrom(serialized[0].ValueBytes));
    }

    public static async Task OrcaOutOfBandAsync(Peer peer)
    {
        var listener = new OpenRcaService.OpenRcaServiceClient(peer.Channel);
        using var call = peer.Stub.FullDuplexCall(deadline: Peer.Deadline);
        using var reports = listener.StreamCoreMetrics(Requests.Listen, deadline: Peer.Deadline);
        foreach (var report in Requests.OutOfBandReports)
        {
            var request = Requests.Output(1);
            request.OrcaOobReport = report;
            await call.RequestStream.WriteUnlessEndedAsync(request);
            await Checks.NextAsync(1, call.ResponseStream); // the server has set the report
            await AwaitReportAsync(LoadReport.From(report), reports.ResponseStream);
        }

        await call.RequestStream.CompleteAsync();
        await Checks.EndAsync(call.ResponseStream);
    }

    /// <summary>Fails unless the report arrives in time, after any number of older ones.</summary>
    private static async Task AwaitReportAsync(OrcaLoadReport expected, IAsyncStreamReader<OrcaLoadReport> reports)
    {
        var watch = Stopwatch.StartNew();
        while (await reports.MoveNext(CancellationToken.None))
        {
            if (reports.Current.Equals(expected))
            {
                return;
            }

            if (watch.Elapsed > MaxReport)
            {
                Checks.Equal($"load report after {MaxReport.TotalSeconds} s", expected, reports.Current);
            }
        }

        throw new CaseException($"load report: expected {expected}, got the end of the stream");
    }
}
