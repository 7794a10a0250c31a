using System.Net.Sockets;
using System.Text;

namespace Samehost.AspNetCore;

/// <summary>
/// The part of the takeover protocol that both sides share: the running server with its <see cref="Successors"/>, and
/// the new server with its <see cref="Predecessor"/>. PROTOCOL.md specifies it under Takeover.
/// </summary>
/// <remarks>
/// They communicate over a socket beside the path. Only its owner can connect to it, because a connection can stop the
/// server. Each message is a line of JSON. The end of the connection means that the other server has failed or stopped.
/// </remarks>
internal static class SocketTakeover
{
    private const int MaxLineBytes = 4096;

    /// <summary>
    /// Returns where a server listens for its successor, or null if that path is too long for a socket.
    /// </summary>
    public static string? ControlPathOf(UnixSocketAddress address)
    {
        var path = address.Path + ".takeover";
        return Encoding.UTF8.GetByteCount(path) <= UnixSocketAddress.MaxPathBytes ? path : null;
    }

    /// <summary>Receives a message. Returns null if the connection ends, or the line is not a message.</summary>
    public static async Task<TakeoverMessage?> ReceiveAsync(Socket connection, CancellationToken cancellationToken)
    {
        var line = new byte[MaxLineBytes];
        var length = 0;
        while (length < line.Length && !line.AsSpan(0, length).Contains((byte)'\n'))
        {
            var received = await connection.ReceiveAsync(line.AsMemory(length), cancellationToken).ConfigureAwait(false);
            if (received == 0)
            {
                break;
            }

            length += received;
        }

        return TakeoverMessage.Parse(line.AsSpan(0, length));
    }
}
