using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <content>Detects that the socket was removed or replaced.</content>
public sealed partial class SocketListener
{
    /// <summary>
    /// How often to check the file. Waiting clients retry about as often, and a check takes microseconds.
    /// </summary>
    private static readonly TimeSpan WatchPace = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _removed = new();

    /// <summary>
    /// Triggered when the socket was removed or replaced, so that new clients cannot connect. The listener logs a
    /// warning and continues to serve connected clients. To stop instead, register
    /// <see cref="Microsoft.Extensions.Hosting.IHostApplicationLifetime.StopApplication"/>.
    /// </summary>
    public CancellationToken Removed => _removed.Token;

    /// <summary>Whether the socket was removed or replaced, but not by a successor.</summary>
    internal bool IsLost
    {
        get
        {
            lock (_changing)
            {
                // By its path, because the open folder may have been replaced too.
                return _lock is not null && _names is not null && !_names.IsOwn(
                    _name, FileStatus.ReadLink(Address.Path, out var status) == 0 ? status.Identity : null);
            }
        }
    }

    /// <summary>Watches the published socket until it is removed or replaced.</summary>
    /// <remarks>
    /// A FileSystemWatcher would react at once. But it takes one of the 128 inotify instances of a user, and it does
    /// not report changes that the other side of a network mount makes (inotify(7)).
    /// </remarks>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(WatchPace);
        while (!IsLost)
        {
            await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false);
        }

        LogRemoved(Address.Path);
        await _removed.CancelAsync().ConfigureAwait(false);
    }

    [LoggerMessage(LogLevel.Warning, "the socket {Path} was removed or replaced, "
        + "and new clients cannot connect; start the server again")]
    private partial void LogRemoved(string path);
}
