using System.Net.Sockets;
using System.Text;

namespace Samehost;

/// <summary>Finds the cause of a failed connection.</summary>
public static class SocketDiagnosis
{
    private const int FrameHeaderBytes = 9;
    private const int FrameTypeOffset = 3;
    private const byte SettingsFrame = 4;

    /// <summary>How long a server may take to send its first frame. It usually takes less than 1 ms.</summary>
    private static readonly TimeSpan MaxHandshake = TimeSpan.FromSeconds(1);

    /// <summary>RFC 9113, 3.4: the client's preface, and an empty SETTINGS frame.</summary>
    private static readonly byte[] Preface = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, SettingsFrame, 0, 0, 0, 0, 0];

    /// <summary>
    /// Returns why calls to the socket are UNAVAILABLE, or null if a gRPC server answers. Waits up to 1 s for its
    /// answer.
    /// </summary>
    /// <returns>
    /// An exception to read or throw: <see cref="SamehostError.NoServer"/>, <see cref="SamehostError.NotASocket"/>,
    /// <see cref="SamehostError.AccessDenied"/> or <see cref="SamehostError.NotGrpc"/>.
    /// </returns>
    /// <exception cref="SamehostException">The operating system cannot inspect the path.</exception>
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
            return answer switch
            {
                [] => Closed(address, ""),
                { Length: FrameHeaderBytes } when answer[FrameTypeOffset] == SettingsFrame => null,
                _ => NotGrpc(
                    address,
                    $"the server does not speak HTTP/2, its answer starts with '{Encoding.Latin1.GetString(answer)}'; "
                    + "use the path of a gRPC server"),
            };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return NotGrpc(
                address,
                $"the server sent nothing within {MaxHandshake.TotalSeconds} s; "
                + "check that it is a gRPC server and that it is not blocked");
        }
        catch (SocketException error)
        {
            return Closed(address, $": {Errno.Describe(error)}", error);
        }
    }

    /// <summary>Inspects the path and connects to it. Returns null if a server listens.</summary>
    internal static SamehostException? WhyUnreachable(UnixSocketAddress address)
    {
        return SocketProbe.Look(address.Path) switch
        {
            SocketState.Absent when !Directory.Exists(address.Folder) => CannotConnect(
                SamehostError.NoServer, $"the folder {address.Folder} does not exist; check the path or mount it"),
            SocketState.Absent => CannotConnect(
                SamehostError.NoServer,
                "no socket exists there; start the server, or mount the folder that it uses"),
            SocketState.Stale => CannotConnect(
                SamehostError.NoServer, "no server listens on it; start the server again, which replaces the file"),
            SocketState.Forbidden => CannotConnect(
                SamehostError.AccessDenied,
                $"{Errno.Describe(Errno.AccessDenied)}: {SocketProbe.DescribePermissions(address.Path)}; "
                + "join that group, or change the group or mode of the socket"),
            SocketState.NotASocket => CannotConnect(
                SamehostError.NotASocket, "it is not a socket; use the path that the server was started with"),
            _ => null,
        };

        SamehostException CannotConnect(SamehostError error, string reason) =>
            SamehostException.CannotConnect(error, address, reason);
    }

    private static SamehostException Closed(UnixSocketAddress address, string reason, SocketException? cause = null) =>
        NotGrpc(address, $"the server closed the connection{reason}; check that it is a gRPC server", cause);

    private static SamehostException NotGrpc(UnixSocketAddress address, string reason, SocketException? cause = null) =>
        SamehostException.CannotConnect(SamehostError.NotGrpc, address, reason, cause);

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
