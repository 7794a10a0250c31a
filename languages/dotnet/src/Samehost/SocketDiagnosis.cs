using System.Net.Sockets;
using System.Text;

namespace Samehost;

/// <summary>Finds out why a server cannot be reached.</summary>
public static class SocketDiagnosis
{
    private const int FrameHeaderBytes = 9;
    private const int FrameTypeOffset = 3;
    private const byte SettingsFrame = 4;

    /// <summary>How long a server may take to send its first frame; on one machine it takes less than a millisecond.</summary>
    private static readonly TimeSpan MaxHandshake = TimeSpan.FromSeconds(1);

    /// <summary>RFC 9113, 3.4: the client's preface, and an empty SETTINGS frame.</summary>
    private static readonly byte[] Preface = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, SettingsFrame, 0, 0, 0, 0, 0];

    /// <summary>
    /// Returns why calls to the socket are UNAVAILABLE, or null if a gRPC server answers. It connects, and waits up to 1 s
    /// for the server.
    /// </summary>
    /// <returns>
    /// An exception to read or throw: <see cref="SamehostError.NoServer"/>, <see cref="SamehostError.NotASocket"/>,
    /// <see cref="SamehostError.AccessDenied"/> or <see cref="SamehostError.NotGrpc"/>.
    /// </returns>
    /// <exception cref="SamehostException">The operating system refuses to look.</exception>
    /// <exception cref="OperationCanceledException">The token was canceled.</exception>
    public static async Task<SamehostException?> DiagnoseAsync(
        UnixSocketAddress address, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (WhyUnreachable(address) is { } unreachable)
        {
            return unreachable;
        }

        using var tooLate = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        tooLate.CancelAfter(MaxHandshake);
        try
        {
            var answer = await ShakeHandsAsync(address, tooLate.Token).ConfigureAwait(false);
            return answer.Length == FrameHeaderBytes && answer[FrameTypeOffset] == SettingsFrame
                ? null
                : NotGrpc(
                    $"what listens on {address.Path} does not speak HTTP/2: it began with "
                    + $"'{Encoding.Latin1.GetString(answer)}'; give the path of a gRPC server without TLS");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return NotGrpc(
                $"what listens on {address.Path} did not speak within {MaxHandshake.TotalSeconds} s; "
                + "see whether it is a gRPC server, and whether it hangs");
        }
        catch (SocketException error)
        {
            return NotGrpc(
                $"what listens on {address.Path} hung up: {error.Message}; see whether it is a gRPC server", error);
        }
    }

    /// <summary>Says why nobody can be reached at the path, by looking and dialling; null where someone listens.</summary>
    internal static SamehostException? WhyUnreachable(UnixSocketAddress address)
    {
        var path = address.Path;
        return SocketProbe.Look(path) switch
        {
            SocketState.Absent when !Directory.Exists(address.Folder) => new(SamehostError.NoServer,
                $"no socket at {path}: there is no folder {address.Folder}; create it or mount it here"),
            SocketState.Absent => new(SamehostError.NoServer,
                $"no socket at {path}: start its server, or mount the folder that it serves in"),
            SocketState.Stale => new(SamehostError.NoServer,
                $"nobody listens on {path}: its server is gone; start it again and it replaces the file"),
            SocketState.Forbidden => new(SamehostError.AccessDenied,
                $"no permission to connect to {path}: {SocketProbe.DescribePermissions(path)}; connecting takes write "
                + "permission: run in that group, or give the socket another group or mode"),
            SocketState.NotASocket => new(SamehostError.NotASocket,
                $"{path} is not a socket; give the path that the server was started with"),
            _ => null,
        };
    }

    private static SamehostException NotGrpc(string message, SocketException? cause = null) =>
        new(SamehostError.NotGrpc, message, cause);

    private static async Task<byte[]> ShakeHandsAsync(UnixSocketAddress address, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.Path), cancellationToken).ConfigureAwait(false);
        await socket.SendAsync(Preface, cancellationToken).ConfigureAwait(false);
        var answer = new byte[FrameHeaderBytes];
        var length = 0;
        while (length < answer.Length
            && await socket.ReceiveAsync(answer.AsMemory(length), cancellationToken).ConfigureAwait(false)
                is > 0 and var received)
        {
            length += received;
        }

        return answer[..length];
    }
}
