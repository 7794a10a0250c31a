using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <summary>Hands the path of the running server over to a successor. It answers one successor at a time.</summary>
/// <param name="address">The address of the socket.</param>
/// <param name="listener">A socket that listens at the control path.</param>
/// <param name="release">Releases the lock. Returns false if this server is stopping and has no lock.</param>
/// <param name="retake">
/// Tries to take the lock again after a failed takeover. Returns true if this server has it, or no longer needs it.
/// </param>
/// <param name="logger">Receives a warning about each failed takeover.</param>
internal sealed partial class Successors(
    UnixSocketAddress address, Socket listener, Func<bool> release, Func<bool> retake, ILogger logger)
{
    /// <summary>How long a successor without the lock may send nothing. Successors try to lock for 2 s.</summary>
    private static readonly TimeSpan MaxSilence = TimeSpan.FromSeconds(5);

    /// <summary>How often to retry the lock or a connection.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

    /// <summary>2 s: a third server may hold the lock briefly while it checks the path.</summary>
    private const int TriesBeforeWarning = 40;

    /// <summary>Listens on a socket to which only this user can connect.</summary>
    /// <exception cref="SocketException">The socket cannot be bound.</exception>
    public static Socket Listen(string privatePath)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(privatePath));
            File.SetUnixFileMode(privatePath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen();
            return listener;
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>Answers successors until one has published its socket.</summary>
    /// <returns>False if this server is stopping.</returns>
    public async Task<bool> HandOverAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            using var successor = await AcceptAsync(cancellationToken).ConfigureAwait(false);
            if (!release())
            {
                return false;
            }

            if (await PublishesAsync(successor, cancellationToken).ConfigureAwait(false))
            {
                return true;
            }

            await RetakeAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Waits for a connection. Retries if no descriptor is left.</summary>
    private async Task<Socket> AcceptAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await listener.AcceptAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                await Task.Delay(Pace, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task<bool> PublishesAsync(Socket successor, CancellationToken cancellationToken)
    {
        using var hangUp = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            await successor.SendAsync(TakeoverMessage.Released.ToBytes(), cancellationToken).ConfigureAwait(false);
            var answer = SocketTakeover.ReceiveAsync(successor, hangUp.Token);
            // A successor that holds the lock may take any time to start. If it dies, its connection ends.
            while (await Task.WhenAny(answer, Task.Delay(MaxSilence, hangUp.Token)).ConfigureAwait(false) != answer)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (retake())
                {
                    LogSilent(address.Path);
                    return false;
                }
            }

            return await answer.ConfigureAwait(false) == TakeoverMessage.Published;
        }
        catch (SocketException)
        {
            return false; // the successor died
        }
        finally
        {
            await hangUp.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Retries until this server has the lock again. Meanwhile other servers see that the path is in use.
    /// </summary>
    private async Task RetakeAsync(CancellationToken cancellationToken)
    {
        for (var tries = 1; !retake(); tries++)
        {
            if (tries == TriesBeforeWarning)
            {
                LogNotRetaken(address.Path);
            }

            await Task.Delay(Pace, cancellationToken).ConfigureAwait(false);
        }
    }

    [LoggerMessage(LogLevel.Warning, "a takeover of {Path} failed: the successor sent nothing")]
    private partial void LogSilent(string path);

    [LoggerMessage(LogLevel.Warning, "a takeover of {Path} failed, and another process holds the lock")]
    private partial void LogNotRetaken(string path);
}
