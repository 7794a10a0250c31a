using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <content>Notices that someone has removed the socket.</content>
public sealed partial class SocketListener
{
    /// <summary>How often to look for the file: clients that wait dial about as often, and a look takes microseconds.</summary>
    private static readonly TimeSpan WatchPace = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _removed = new();

    /// <summary>
    /// Triggered when someone has removed the socket or put another in its place, so that no new client finds this server.
    /// It is logged, and the server goes on for those that are connected. To stop instead, register
    /// <see cref="Microsoft.Extensions.Hosting.IHostApplicationLifetime.StopApplication"/>.
    /// </summary>
    public CancellationToken Removed => _removed.Token;

    /// <summary>Whether someone removed the file or put another in its place, and did not take the path over.</summary>
    internal bool IsLost
    {
        get
        {
            lock (_changing)
            {
                // By the path and not in the open folder, which may have been replaced too.
                return _lock is not null && _names is not null && !_names.IsOwn(
                    _name, FileStatus.ReadLink(Address.Path, out var status) == 0 ? status.Identity : null);
            }
        }
    }

    /// <summary>Watches the file, once it is published, until it is lost.</summary>
    /// <remarks>
    /// A FileSystemWatcher would say so at once, but takes one of the 128 inotify instances that a user has, and hears
    /// nothing of what the other side of a network mount does (inotify(7)).
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
