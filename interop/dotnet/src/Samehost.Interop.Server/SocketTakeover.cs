using System.Net.Sockets;
using System.Text;

namespace Samehost.Interop.Server;

/// <summary>
/// The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
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

    /// <summary>Answers successors, one at a time, until one has published.</summary>
    /// <param name="listener">A socket that listens at the control path.</param>
    /// <param name="release">Releases the lock; false where there is none, as this server goes already.</param>
    /// <param name="retake">Takes the lock again when a successor has given up.</param>
    /// <param name="cancellationToken">Ends it, as this server goes.</param>
    /// <returns>Whether the path is a successor's now.</returns>
    public static async Task<bool> HandOverAsync(
        Socket listener, Func<bool> release, Func<CancellationToken, Task> retake, CancellationToken cancellationToken)
    {
        while (true)
        {
            using var successor = await listener.AcceptAsync(cancellationToken);
            if (!release())
            {
                return false;
            }

            if (await PublishesAsync(successor, cancellationToken))
            {
                return true;
            }

            await retake(cancellationToken);
        }
    }

    private static async Task<bool> PublishesAsync(Socket successor, CancellationToken cancellationToken)
    {
        try
        {
            // There is no deadline for it: a server may take long to start, and one that dies hangs up.
            await successor.SendAsync(TakeoverMessage.Released.ToBytes(), cancellationToken);
            return await ReceiveAsync(successor, cancellationToken) == TakeoverMessage.Published;
        }
        catch (SocketException)
        {
            return false; // a successor that dies has given up
        }
    }

    /// <summary>The next line; null where the connection ends or says something else.</summary>
    private static async Task<TakeoverMessage?> ReceiveAsync(Socket connection, CancellationToken cancellationToken)
    {
        var line = new byte[MaxLineBytes];
        var length = 0;
        while (length < line.Length && !line.AsSpan(0, length).Contains((byte)'\n'))
        {
            var received = await connection.ReceiveAsync(line.AsMemory(length), cancellationToken);
            if (received == 0)
            {
                break;
            }

            length += received;
        }

        return TakeoverMessage.Parse(line.AsSpan(0, length));
    }

    /// <summary>The server that has the path, as its successor meets it; it has released its lock.</summary>
    public sealed class Predecessor : IDisposable
    {
        /// <summary>How long a server may take to release its lock, which takes it less than a millisecond.</summary>
        private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

        private readonly Socket _connection = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

        private Predecessor()
        {
        }

        /// <summary>Asks the server that has the path to release its lock.</summary>
        /// <exception cref="SocketInUseException">It can't be asked, or does not release its lock.</exception>
        public static async Task<Predecessor> AskAsync(UnixSocketAddress address, CancellationToken cancellationToken)
        {
            var path = ControlPathOf(address) ?? throw new SocketInUseException(
                $"{address.Path} can't be taken over: its name leaves no room for .takeover; stop its server");
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            deadline.CancelAfter(AnswerTime);
            var predecessor = new Predecessor();
            try
            {
                await predecessor._connection.ConnectAsync(new UnixDomainSocketEndPoint(path), deadline.Token);
                return await ReceiveAsync(predecessor._connection, deadline.Token) == TakeoverMessage.Released
                    ? predecessor
                    : throw new SocketInUseException(
                        $"{address.Path} can't be taken over: its server goes, or another takes over; try again");
            }
            catch (Exception error)
            {
                predecessor.Dispose();
                var reason = error switch
                {
                    SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => "no such file", // as .NET calls it
                    SocketException => error.Message,
                    OperationCanceledException when !cancellationToken.IsCancellationRequested => "timed out",
                    _ => null,
                };
                if (reason is null)
                {
                    throw;
                }

                throw new SocketInUseException(
                    $"{address.Path} can't be taken over: nobody answers at {path}: {reason}; stop its server", error);
            }
        }

        /// <summary>Says that the path is its successor's now, so that it drains and goes, and hangs up.</summary>
        public void TellPublished()
        {
            try
            {
                using (_connection)
                {
                    _connection.Send(TakeoverMessage.Published.ToBytes());
                }
            }
            catch (SocketException)
            {
                // It has gone already.
            }
        }

        /// <summary>Hangs up; where it was not told that the path has gone, it takes its lock again and goes on.</summary>
        public void Dispose() => _connection.Dispose();
    }
}
