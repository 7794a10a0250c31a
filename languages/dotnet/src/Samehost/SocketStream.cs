using System.Net.Sockets;

namespace Samehost;

/// <summary>The bytes of a connection, whose answers can be read to the end.</summary>
/// <remarks>
/// A server that has moved its client away closes a connection as soon as the last answer is written, while the client still
/// sends a WINDOW_UPDATE or a call. Such a write fails, although the answers wait to be read, and
/// <see cref="SocketsHttpHandler"/> then aborts the connection and loses them. So a write that nobody will read is taken as
/// done: reading goes on, and its end says the same to every call that got no answer. (Over TCP this can't be mended so: a
/// reset there throws away what was not read.)
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
            // EPIPE or ECONNRESET: the server has closed.
        }
    }
}
