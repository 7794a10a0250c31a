using System.Diagnostics;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases with many calls, at once or one after the other.</summary>
internal static class LoadCases
{
    /// <summary>The number of calls in grpc-go and grpc-java. The description of the case gives none.</summary>
    private const int PickFirstCalls = 100;

    private const int ConcurrentCalls = 1000;

    /// <summary>The deadline of all concurrent calls. Together they take 2 s on two idle cores.</summary>
    private static readonly TimeSpan ConcurrentDeadline = TimeSpan.FromSeconds(60);

    /// <summary>The default of the official clients. No iteration may fail.</summary>
    private const int SoakIterations = 10;

    private static readonly TimeSpan MaxIteration = TimeSpan.FromSeconds(1);

    public static async Task PickFirstUnaryAsync(Peer peer)
    {
        SortedSet<string> ids = [];
        for (var call = 0; call < PickFirstCalls; call++)
        {
            var request = new SimpleRequest { FillServerId = true };
            ids.Add((await peer.Stub.UnaryCallAsync(request, deadline: Peer.Deadline)).ServerId);
        }

        if (ids.Count != 1 || ids.Contains(""))
        {
            throw new CaseException(
                $"server_id of {PickFirstCalls} responses: expected one non-empty ID, got [{string.Join(", ", ids)}]");
        }
    }

    public static async Task ConcurrentLargeUnaryAsync(Peer peer)
    {
        var request = Requests.Large();
        var deadline = DateTime.UtcNow + ConcurrentDeadline;
        var calls = Enumerable.Range(0, ConcurrentCalls)
            .Select(_ => peer.Stub.UnaryCallAsync(request, deadline: deadline).ResponseAsync)
            .ToList();
        foreach (var call in calls)
        {
            Checks.Large(await call);
        }
    }

    public static Task RpcSoakAsync(Peer peer) => SoakAsync(() => UnaryCases.LargeUnaryAsync(peer));

    public static Task ChannelSoakAsync(Peer peer) => SoakAsync(async () =>
    {
        using var ownChannel = new Peer(peer.Address);
        await UnaryCases.LargeUnaryAsync(ownChannel);
    });

    /// <summary>Runs all iterations, also after a failed one, and fails if any iteration failed.</summary>
    private static async Task SoakAsync(Func<Task> iterate)
    {
        var total = Stopwatch.StartNew();
        var done = 0;
        List<string> faults = [];
        for (; done < SoakIterations && total.Elapsed <= SoakIterations * MaxIteration; done++)
        {
            var watch = Stopwatch.StartNew();
            try
            {
                await iterate();
                if (watch.Elapsed > MaxIteration)
                {
                    faults.Add($"took {watch.ElapsedMilliseconds} ms");
                }
            }
            catch (Exception error)
            {
                faults.Add(CaseRunner.Describe(error));
            }
        }

        Checks.Equal("number of iterations in time", SoakIterations, done);
        if (faults is [var first, ..])
        {
            throw new CaseException($"failed iterations: expected none, got {faults.Count}, first: {first}");
        }
    }
}
