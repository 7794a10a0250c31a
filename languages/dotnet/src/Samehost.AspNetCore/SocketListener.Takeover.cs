using System.Diagnostics;
using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <content>Hands the path over to a successor, and takes it over from a predecessor, as PROTOCOL.md has it.</content>
public sealed partial class SocketListener
{
    /// <summary>
    /// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
    /// </summary>
    private static readonly TimeSpan LockTime = TimeSpan.FromSeconds(2);

    /// <summary>How often to try: the system tells no one when a lock is released but whoever waits without a deadline.</summary>
    private static readonly TimeSpan LockPace = TimeSpan.FromMilliseconds(5);

    private readonly CancellationTokenSource _takenOver = new();

    /// <summary>Where successors dial; null where there can be none.</summary>
    private readonly string? _controlPath;
    private Socket? _control;
    private Predecessor? _predecessor;

    /// <summary>
    /// Triggered when a successor has the path. The host then stops, as it does on SIGTERM.
    /// </summary>
    public CancellationToken TakenOver => _takenOver.Token;

    /// <summary>Waits for a successor, and hands the path over to it; for one that gives up, the next.</summary>
    /// <returns>Whether a successor has the path; otherwise there will be none.</returns>
    internal async Task<bool> HandOverAsync(CancellationToken cancellationToken)
    {
        if (_control is null)
        {
            return false;
        }

        using (_control) // nobody may wait for an answer that does not come
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

    /// <summary>Takes the lock, if need be from the server that holds it.</summary>
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
            // Someone has removed the lock file that it holds.
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
                // The next try may do.
            }
        }
    }

    private void RefuseControlThatIsNoSocket()
    {
        if (_controlPath is not null
            && FileStatus.ReadLink(HeldFolder.At(Path.GetFileName(_controlPath)), out var control) == 0
            && !control.IsSocket)
        {
            throw NotASocket(_controlPath);
        }
    }

    /// <summary>Lets successors dial, before the path is public and the predecessor is told.</summary>
    /// <remarks>As the predecessor goes, it removes the file that is there while it is its own.</remarks>
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

    /// <summary>Lets a successor have the lock; false where this server has none, as it goes.</summary>
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

    /// <summary>Tries to take the lock again when a successor gave up; true also where it is needed no more.</summary>
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
