using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <summary>A successor's connection to the running server, which has released its lock.</summary>
internal sealed class Predecessor : IDisposable
{
    /// <summary>How long a server may take to release its lock. It usually takes less than 1 ms.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

    private const string Remedy = "stop its server and start this one";

    private readonly Socket _connection = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    private Predecessor()
    {
    }

    /// <summary>Requests the lock from the running server.</summary>
    /// <exception cref="SamehostException">The server does not answer, or does not release its lock.</exception>
    public static async Task<Predecessor> AskAsync(UnixSocketAddress address, CancellationToken cancellationToken)
    {
        var path = SocketTakeover.ControlPathOf(address) ?? throw SamehostException.CannotTakeOver(
            address, $"its name leaves no room for .takeover; {Remedy}");
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(AnswerTime);
        var predecessor = new Predecessor();
        try
        {
            await predecessor._connection.ConnectAsync(new UnixDomainSocketEndPoint(path), deadline.Token)
                .ConfigureAwait(false);
            return await SocketTakeover.ReceiveAsync(predecessor._connection, deadline.Token).ConfigureAwait(false)
                    == TakeoverMessage.Released
                ? predecessor
                : throw SamehostException.CannotTakeOver(
                    address, "its server is stopping, or another server is taking over; try again");
        }
        catch (Exception error)
        {
            predecessor.Dispose();
            var reason = error switch
            {
                // .NET reports ENOENT as AddressNotAvailable.
                SocketException
                {
                    SocketErrorCode: SocketError.AddressNotAvailable or SocketError.ConnectionRefused,
                } => $"no server listens on {path}, so its server allows no takeover, or is starting or stopping; {Remedy}",
                SocketException => NoAnswer(path, Errno.Describe(error)),
                OperationCanceledException when !cancellationToken.IsCancellationRequested => NoAnswer(path, "timed out"),
                _ => null,
            };
            if (reason is null)
            {
                throw;
            }

            throw SamehostException.CannotTakeOver(address, reason, error);
        }
    }

    /// <summary>
    /// Tells the server that the socket is published, and closes the connection. The server then drains and stops.
    /// </summary>
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
            // The server has already stopped.
        }
    }

    /// <summary>
    /// Closes the connection. If the socket was not published, the server takes its lock again and continues.
    /// </summary>
    public void Dispose() => _connection.Dispose();

    private static string NoAnswer(string path, string reason) =>
        $"its server does not answer on {path}: {reason}; stop it, or kill it if it is blocked, and start this one";
}
