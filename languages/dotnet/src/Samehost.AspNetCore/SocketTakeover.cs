using System.Net.Sockets;
using System.Text;

namespace Samehost.AspNetCore;

/// <summary>
/// What both sides share when a server hands its path over to its <see cref="Successors"/> or takes it over from its
/// <see cref="Predecessor"/>, as PROTOCOL.md has it under Takeover.
/// </summary>
/// <remarks>
/// Both talk over a socket beside the path, which is its owner's alone to dial: whoever could dial it could make the server
/// go. A line of JSON says what has happened; a connection that ends says that the other one is gone.
/// </remarks>
internal static class SocketTakeover
{
    private const int MaxLineBytes = 4096;

    /// <summary>Where a server listens for its successor; null where the name would be too long for a socket.</summary>
    public static string? ControlPathOf(UnixSocketAddress address)
    {
        var path = address.Path + ".takeover";
        return Encoding.UTF8.GetByteCount(path) <= UnixSocketAddress.MaxPathBytes ? path : null;
    }

    /// <summary>The next line; null where the connection ends or says something else.</summary>
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
