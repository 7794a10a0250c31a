using System.Net.Sockets;

namespace Samehost;

/// <summary>The stream of a connection. It can be read to the end after the server has closed the connection.</summary>
/// <remarks>
/// After a GOAWAY, a server closes a connection as soon as it has written the last response. The client may still be
/// sending a WINDOW_UPDATE or a call. That write fails although responses are waiting to be read, and
/// <see cref="SocketsHttpHandler"/> then aborts the connection and loses them. This stream ignores the failed write.
/// Reading continues, and the end of the stream fails every call that got no response. (This does not help over TCP,
/// where a reset discards unread data.)
/// </remarks>
internal sealed class SocketStream(Socket socket) : NetworkStream(socket, ownsSocket: true)
{
    /// <inheritdoc/>
    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            await base.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (IOException error) when (error.InnerException is SocketException
        {
            SocketErrorCode: SocketError.Shutdown or SocketError.ConnectionReset
        })
        {
            // EPIPE or ECONNRESET: the server has closed the connection.
        }
    }
}
