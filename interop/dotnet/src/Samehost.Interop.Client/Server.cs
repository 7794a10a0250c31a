using System.Diagnostics;
using System.Text.Json;
using Grpc.Core;

namespace Samehost.Interop.Client;

/// <summary>Waits for a server, and explains failed calls.</summary>
internal static class Server
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits until a server answers. A connection alone is not enough, because it may break at once.</summary>
    /// <exception cref="SamehostException">No server answered in time, or waiting would not help.</exception>
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

    /// <summary>Returns the cause of a failed call: a failed connection, or the server's status.</summary>
    public static async Task<IOException> ExplainAsync(RpcException error, UnixSocketAddress address)
    {
        var details = error.Status.Detail.Length > 0 ? error.Status.Detail : "no details";
        var reason = $"cannot complete the call to {address}: {NameOf(error.StatusCode)}: {details}";
        return error.StatusCode switch
        {
            StatusCode.Unavailable or StatusCode.DeadlineExceeded
                when await SocketDiagnosis.DiagnoseAsync(address) is { } unreachable => unreachable,
            StatusCode.DeadlineExceeded => new IOException(
                $"{reason}; allow more time, or check that the server is not blocked", error),
            _ => new IOException(reason, error),
        };
    }

    /// <summary>Returns a status code in gRPC's spelling, such as NOT_FOUND.</summary>
    public static string NameOf(StatusCode code) => JsonNamingPolicy.SnakeCaseUpper.ConvertName(code.ToString());
}
