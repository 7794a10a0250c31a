using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <summary>The server that has the path, as its successor meets it; it has released its lock.</summary>
internal sealed class Predecessor : IDisposable
{
    /// <summary>How long a server may take to release its lock, which takes it less than a millisecond.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

    private const string Remedy = "stop its server and start this one";

    private readonly Socket _connection = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    private Predecessor()
    {
    }

    /// <summary>Asks the server that has the path to release its lock.</summary>
    /// <exception cref="SamehostException">It can't be asked, or does not release its lock.</exception>
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
                SocketException => Errno.Describe(error),
                OperationCanceledException when !cancellationToken.IsCancellationRequested => "timed out",
                _ => null,
            };
            if (reason is null)
            {
                throw;
            }

            throw SamehostException.CannotTakeOver(address, $"no server answers on {path}: {reason}; {Remedy}", error);
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
