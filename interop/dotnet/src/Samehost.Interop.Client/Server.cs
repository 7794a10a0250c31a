using System.Diagnostics;
using System.Text.Json;
using Grpc.Core;

namespace Samehost.Interop.Client;

/// <summary>The server, as a program waits for it and says what it answered.</summary>
internal static class Server
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits until a server answers: connecting is not enough where it may be lost again.</summary>
    /// <exception cref="SamehostException">None answered in time, or waiting would not help.</exception>
    public static async Task WaitAsync(UnixSocketAddress address, TimeSpan wait)
    {
        var waited = Stopwatch.StartNew();
        while (await SocketDiagnosis.DiagnoseAsync(address) is { } reason)
        {
            if (waited.Elapsed + Pause > wait || reason.Error is SamehostError.NotASocket or SamehostError.AccessDenied)
            {
                throw reason;
            }

            await Task.Delay(Pause);
        }
    }

    /// <summary>Says what a failed call means: why the server can't be reached, or else what it answered.</summary>
    public static async Task<IOException> ExplainAsync(RpcException error, UnixSocketAddress address)
    {
        var details = error.Status.Detail.Length > 0 ? error.Status.Detail : "no details";
        return error.StatusCode switch
        {
            StatusCode.Unavailable or StatusCode.DeadlineExceeded
                when await SocketDiagnosis.DiagnoseAsync(address) is { } reason => reason,
            StatusCode.DeadlineExceeded => new IOException(
                $"the call to {address} exceeded its deadline: {details}; "
                + "allow more time, or check that the server is not blocked",
                error),
            var code => new IOException($"the call to {address} failed with {NameOf(code)}: {details}", error),
        };
    }

    /// <summary>A status code as gRPC's documents write it, as in NOT_FOUND.</summary>
    public static string NameOf(StatusCode code) => JsonNamingPolicy.SnakeCaseUpper.ConvertName(code.ToString());
}
