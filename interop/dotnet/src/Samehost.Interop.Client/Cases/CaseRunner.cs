using System.Diagnostics;
using Grpc.Core;

namespace Samehost.Interop.Client.Cases;

/// <summary>
/// Runs the official cases (grpc/grpc doc/interop-test-descriptions.md), each on a channel of its own.
/// </summary>
internal static class CaseRunner
{
    public const string Pass = "pass";

    private static readonly OrderedDictionary<string, Func<Peer, Task>> Cases = new()
    {
        ["empty_unary"] = UnaryCases.EmptyUnaryAsync,
        ["cacheable_unary"] = UnaryCases.CacheableUnaryAsync,
        ["large_unary"] = UnaryCases.LargeUnaryAsync,
        ["client_compressed_unary"] = CompressionCases.ClientCompressedUnaryAsync,
        ["server_compressed_unary"] = CompressionCases.ServerCompressedUnaryAsync,
        ["client_streaming"] = StreamingCases.ClientStreamingAsync,
        ["client_compressed_streaming"] = CompressionCases.ClientCompressedStreamingAsync,
        ["server_streaming"] = StreamingCases.ServerStreamingAsync,
        ["server_compressed_streaming"] = CompressionCases.ServerCompressedStreamingAsync,
        ["ping_pong"] = StreamingCases.PingPongAsync,
        ["half_duplex"] = StreamingCases.HalfDuplexAsync,
        ["empty_stream"] = StreamingCases.EmptyStreamAsync,
        ["custom_metadata"] = MetadataCases.CustomMetadataAsync,
        ["status_code_and_message"] = StatusCases.StatusCodeAndMessageAsync,
        ["special_status_message"] = StatusCases.SpecialStatusMessageAsync,
        ["unimplemented_method"] = StatusCases.UnimplementedMethodAsync,
        ["unimplemented_service"] = StatusCases.UnimplementedServiceAsync,
        ["cancel_after_begin"] = StatusCases.CancelAfterBeginAsync,
        ["cancel_after_first_response"] = StatusCases.CancelAfterFirstResponseAsync,
        ["timeout_on_sleeping_server"] = StatusCases.TimeoutOnSleepingServerAsync,
        ["pick_first_unary"] = LoadCases.PickFirstUnaryAsync,
        ["concurrent_large_unary"] = LoadCases.ConcurrentLargeUnaryAsync,
        ["rpc_soak"] = LoadCases.RpcSoakAsync,
        ["channel_soak"] = LoadCases.ChannelSoakAsync,
        ["orca_per_rpc"] = LoadReportCases.OrcaPerRpcAsync,
        ["orca_oob"] = LoadReportCases.OrcaOutOfBandAsync,
    };

    /// <summary>
    /// The official cases that this client does not implement, because they need a Google Cloud account.
    /// </summary>
    private static readonly string[] NeedGoogleCredentials =
    [
        "compute_engine_channel_credentials",
        "compute_engine_creds",
        "google_default_credentials",
        "jwt_token_creds",
        "oauth2_auth_token",
        "per_rpc_creds",
    ];

    /// <summary>The names of all official cases.</summary>
    public static IEnumerable<string> Names => Cases.Keys.Concat(NeedGoogleCredentials);

    /// <summary>Whether an official case has this name.</summary>
    public static bool Knows(string name) => Names.Contains(name);

    /// <summary>Runs a case and returns its result. Every exception becomes a failed result.</summary>
    public static async Task<CaseResult> RunAsync(UnixSocketAddress address, string name)
    {
        if (!Cases.TryGetValue(name, out var runCase))
        {
            return new CaseResult(
                name, "unimplemented", "this client does not know the case: it needs Google credentials", 0);
        }

        var watch = Stopwatch.StartNew();
        var detail = "";
        try
        {
            using var peer = new Peer(address);
            await runCase(peer);
        }
        catch (Exception error)
        {
            detail = CommandLine.OneLine(Describe(error));
        }

        return new CaseResult(
            name, detail.Length == 0 ? Pass : "fail", detail, Math.Round(watch.Elapsed.TotalMilliseconds, 1));
    }

    /// <summary>Describes the exception that ended a case, or an iteration of a case.</summary>
    public static string Describe(Exception error) => error switch
    {
        CaseException => error.Message,
        RpcException rpc =>
            $"status: expected OK, got {Server.NameOf(rpc.StatusCode)} '{rpc.Status.Detail}'",
        _ => $"expected no exception, got {error.GetType().Name}: {error.Message}",
    };
}
