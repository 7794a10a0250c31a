using System.Diagnostics;
using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <content>
/// Hands the path over to a successor, and takes it over from a predecessor, as PROTOCOL.md specifies.
/// </content>
public sealed partial class SocketListener
{
    /// <summary>
    /// How long to retry after the lock was released: a third server may hold it briefly while it checks the path.
    /// </summary>
    private static readonly TimeSpan LockTime = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How often to retry. The system reports the release of a lock only to a wait that has no deadline.
    /// </summary>
    private static readonly TimeSpan LockPace = TimeSpan.FromMilliseconds(5);

    private readonly CancellationTokenSource _takenOver = new();

    /// <summary>Where successors connect. Null if takeover is not allowed, or the path would be too long.</summary>
    private readonly string? _controlPath;
    private Socket? _control;
    private Predecessor? _predecessor;

    /// <summary>Triggered when a successor has taken over the path. The host then stops, as on SIGTERM.</summary>
    public CancellationToken TakenOver => _takenOver.Token;

    /// <summary>Waits for successors until one has taken over the path.</summary>
    /// <returns>False if no successor can take over the path anymore.</returns>
    internal async Task<bool> HandOverAsync(CancellationToken cancellationToken)
    {
        if (_control is null)
        {
            return false;
        }

        using (_control) // closed at the end, so that no other successor waits for an answer
        {
            var successors = new Successors(Address, _control, Release, Retake, _logger);
            if (!await successors.HandOverAsync(cancellationToken).ConfigureAwait(false))
            {
                return false;
            }

            await _takenOver.CancelAsync().ConfigureAwait(false);
            return true;
        }
    }

    /// <summary>Takes the lock. If a server holds it, requests it from that server.</summary>
    private async Task TakeLockOverAsync(CancellationToken cancellationToken)
    {
        try
        {
            TakeLock();
        }
        catch (SamehostException error) when (error.Error is SamehostError.InUse)
        {
            _predecessor = await Predecessor.AskAsync(Address, cancellationToken).ConfigureAwait(false);
            await TakeReleasedLockAsync(cancellationToken).ConfigureAwait(false);
        }

        if (_predecessor is null && HeldFolder.Look(_name) == SocketState.Live)
        {
            // The server runs, but its lock file was removed.
            _predecessor = await Predecessor.AskAsync(Address, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task TakeReleasedLockAsync(CancellationToken cancellationToken)
    {
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(LockPace, cancellationToken).ConfigureAwait(false))
        {
            try
            {
                TakeLock();
                return;
            }
            catch (SamehostException error) when (error.Error is SamehostError.InUse && waited.Elapsed < LockTime)
            {
                // Retry.
            }
        }
    }

    private void CheckControlPath()
    {
        if (_controlPath is not null
            && FileStatus.ReadLink(HeldFolder.At(Path.GetFileName(_controlPath)), out var control) == 0
            && !control.IsSocket)
        {
            throw NotASocket(_controlPath);
        }
    }

    /// <summary>Listens for successors, before the socket is published and the predecessor is told.</summary>
    /// <remarks>
    /// A predecessor that stops removes its own control socket. It is replaced first, so that the new one is not
    /// removed.
    /// </remarks>
    private void PublishControl()
    {
        if (_controlPath is not null)
        {
            var privateControl = NewPrivatePath();
            try
            {
                _control = Successors.Listen(privateControl);
            }
            catch (Exception error) when (IsSystemError(error))
            {
                throw CannotBind(error);
            }

            Rename(privateControl, Path.GetFileName(_controlPath));
        }
    }

    /// <summary>Releases the lock for a successor. Returns false if this server is stopping and has no lock.</summary>
    private bool Release()
    {
        lock (_changing)
        {
            if (_lock is null)
            {
                return false;
            }

            _names?.Keep();
            _lock.Dispose();
            _lock = null;
            return true;
        }
    }

    /// <summary>
    /// Tries to take the lock again after a failed takeover. Returns true also if this server no longer needs it.
    /// </summary>
    private bool Retake()
    {
        lock (_changing)
        {
            if (_withdrawn)
            {
                return true;
            }

            try
            {
                _lock ??= NewLock();
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                return false; // another process holds it, or no descriptor is left
            }

            _names?.Restore();
            return true;
        }
    }
}
