using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Grpc.Core;

namespace Samehost.Interop.Client;

/// <summary>Why a server can't be reached, or a call failed, told apart and said in one line with the remedy.</summary>
public static class SocketDiagnosis
{
    private const int FrameHeaderBytes = 9;
    private const int FrameTypeOffset = 3;
    private const byte SettingsFrame = 4;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a server may take to send its first frame; on one machine it takes less than a millisecond.</summary>
    private static readonly TimeSpan MaxHandshake = TimeSpan.FromSeconds(1);

    /// <summary>RFC 9113, 3.4: the client's preface, and an empty SETTINGS frame.</summary>
    private static readonly byte[] Preface = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, SettingsFrame, 0, 0, 0, 0, 0];

    /// <summary>Whether no server that starts later could help.</summary>
    public static bool WaitingIsVain(UnixSocketAddress address) =>
        SocketPath.Look(address.Path) is SocketPathState.NotASocket or SocketPathState.Forbidden;

    /// <summary>Says why nobody can be reached at the path, by looking and dialling; null where someone listens.</summary>
    public static SamehostException? WhyUnreachable(UnixSocketAddress address)
    {
        var path = address.Path;
        var reason = SocketPath.Look(address.Path) switch
        {
            SocketPathState.Absent when !Directory.Exists(address.Folder) =>
                $"no socket at {path}: there is no folder {address.Folder}; create it or mount it here",
            SocketPathState.Absent =>
                $"no socket at {path}: start its server, or mount the folder that it serves in",
            SocketPathState.Stale =>
                $"nobody listens on {path}: its server is gone; start it again and it replaces the file",
            SocketPathState.Forbidden =>
                $"no permission to connect to {path}: {SocketPath.DescribePermissions(path)}; connecting takes write "
                + "permission: run in that group, or serve with another --group or --mode",
            SocketPathState.NotASocket =>
                $"{path} is not a socket; give the path that the server was started with",
            _ => null,
        };
        return reason is null ? null : new SamehostException(reason);
    }

    /// <summary>Says why no gRPC server answers at the path; null where one does. Takes at most a second.</summary>
    public static async Task<SamehostException?> DiagnoseAsync(UnixSocketAddress address)
    {
        if (WhyUnreachable(address) is { } unreachable)
        {
            return unreachable;
        }

        using var tooLate = new CancellationTokenSource(MaxHandshake);
        try
        {
            var answer = await ShakeHandsAsync(address, tooLate.Token);
            return answer.Length == FrameHeaderBytes && answer[FrameTypeOffset] == SettingsFrame
                ? null
                : new SamehostException(
                    $"what listens on {address.Path} does not speak HTTP/2: it began with "
                    + $"'{Encoding.Latin1.GetString(answer)}'; give the path of a gRPC server without TLS");
        }
        catch (OperationCanceledException)
        {
            return new SamehostException(
                $"what listens on {address.Path} did not speak within {MaxHandshake.TotalSeconds} s; "
                + "see whether it is a gRPC server, and whether it hangs");
        }
        catch (SocketException error)
        {
            return new SamehostException(
                $"what listens on {address.Path} hung up: {error.Message}; see whether it is a gRPC server", error);
        }
    }

    /// <summary>Waits until a server answers: connecting is not enough where it may be lost again.</summary>
    /// <exception cref="SamehostException">None answered in time, or waiting would not help.</exception>
    public static async Task WaitForServerAsync(UnixSocketAddress address, TimeSpan wait)
    {
        var waited = Stopwatch.StartNew();
        while (await DiagnoseAsync(address) is { } reason)
        {
            if (waited.Elapsed + Pause > wait || WaitingIsVain(address))
            {
                throw reason;
            }

            await Task.Delay(Pause);
        }
    }

    /// <summary>Says what a failed call means: why the server can't be reached, or else what it answered.</summary>
    public static async Task<SamehostException> ExplainAsync(RpcException error, UnixSocketAddress address)
    {
        var details = error.Status.Detail.Length > 0 ? error.Status.Detail : "no details";
        return error.StatusCode switch
        {
            StatusCode.Unavailable or StatusCode.DeadlineExceeded
                when await DiagnoseAsync(address) is { } reason => reason,
            StatusCode.DeadlineExceeded => new SamehostException(
                $"no answer from {address} before the deadline: {details}; give it more time, or see what keeps it", error),
            var code => new SamehostException($"{address} answered {NameOf(code)}: {details}", error),
        };
    }

    /// <summary>A status code as gRPC's documents write it, as in NOT_FOUND.</summary>
    public static string NameOf(StatusCode code) => JsonNamingPolicy.SnakeCaseUpper.ConvertName(code.ToString());

    private static async Task<byte[]> ShakeHandsAsync(UnixSocketAddress address, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.Path), cancellationToken);
        await socket.SendAsync(Preface, cancellationToken);
        var answer = new byte[FrameHeaderBytes];
        var length = 0;
        while (length < answer.Length
            && await socket.ReceiveAsync(answer.AsMemory(length), cancellationToken) is > 0 and var received)
        {
            length += received;
        }

        return answer[..length];
    }
}
