using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <summary>Those that want to take the path over, as the server that has it meets them: one at a time.</summary>
/// <param name="address">What is handed over.</param>
/// <param name="listener">A socket that listens at the control path.</param>
/// <param name="release">Releases the lock; false where there is none, as this server goes already.</param>
/// <param name="retake">
/// Tries to take the lock again when a successor has given up; true where it is there, or needed no more.
/// </param>
/// <param name="logger">Hears of successors that fail.</param>
internal sealed partial class Successors(
    UnixSocketAddress address, Socket listener, Func<bool> release, Func<bool> retake, ILogger logger)
{
    /// <summary>How long a successor may be silent without the lock, for which it tries for 2 s.</summary>
    private static readonly TimeSpan MaxSilence = TimeSpan.FromSeconds(5);

    /// <summary>How often to try for the lock or a connection again.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

    /// <summary>2 s: a third server may hold the lock for a moment, while it finds the path live.</summary>
    private const int TriesBeforeWarning = 40;

    /// <summary>A socket that only this server's own user may dial, and that listens before it gets its public name.</summary>
    /// <exception cref="SocketException">The system refuses it.</exception>
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

    /// <summary>Answers successors until one has published.</summary>
    /// <returns>Whether the path is a successor's now; otherwise this server goes.</returns>
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

    /// <summary>Waits for a connection; where no descriptor is left for one, that passes.</summary>
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
            // With the lock it may take as long to start as it likes, and one that dies hangs up.
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
            return false; // a successor that dies has given up
        }
        finally
        {
            await hangUp.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Takes the lock again, however long another holds it: without it, others still find the path live.</summary>
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

    [LoggerMessage(LogLevel.Warning, "a successor that wanted to take {Path} over said nothing more")]
    private partial void LogSilent(string path);

    [LoggerMessage(LogLevel.Warning, "a takeover of {Path} failed, and another process holds its lock")]
    private partial void LogNotRetaken(string path);
}
