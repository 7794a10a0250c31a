using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Samehost.Interop.Server;

/// <summary>
/// The life of a socket's file, as PROTOCOL.md has it: <see cref="ClaimAsync"/>, <see cref="Bind"/>,
/// <see cref="Publish"/>, serve with <see cref="HandOverAsync"/> and <see cref="WatchAsync"/>, <see cref="Withdraw"/>.
/// </summary>
/// <remarks>
/// The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
/// there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
/// never one with a wider mode. All is named relative to folders that are held open: another user who may write to the
/// folder can replace what is there, and can't make the server change or remove a file of somebody else.
/// </remarks>
public sealed class SocketFile : IDisposable
{
    /// <summary>Hexadecimal digits: two paths of one folder find each other's private folders once in 4 billion.</summary>
    private const int DigestLength = 8;

    /// <summary>
    /// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
    /// </summary>
    private static readonly TimeSpan LockTime = TimeSpan.FromSeconds(2);

    /// <summary>How often to try: the system tells no one when a lock is released but whoever waits without a deadline.</summary>
    private static readonly TimeSpan LockPace = TimeSpan.FromMilliseconds(5);

    /// <summary>How often to look for the file: clients that wait dial about as often, and a look takes microseconds.</summary>
    private static readonly TimeSpan WatchPace = TimeSpan.FromSeconds(1);

    private readonly UnixSocketAddress _address;
    private readonly SocketListenerOptions _options;
    private readonly string _implementation;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly string? _controlPath;
    private readonly string _privatePrefix;

    /// <summary>Held while names and the lock change hands: successors and signals come when they like.</summary>
    private readonly Lock _changing = new();
    private bool _withdrawn;

    private Folder? _folder;
    private SocketLock? _lock;
    private FileIdentity? _found;
    private PrivateFolder? _private;
    private string? _boundPath;
    private PublishedNames? _names;

    private Predecessor? _predecessor;
    private Socket? _control;

    /// <summary>Prepares to hold a path; nothing is touched yet.</summary>
    public SocketFile(
        UnixSocketAddress address, SocketListenerOptions options, string implementation, ILogger<SocketFile> logger)
    {
        _address = address;
        _options = options;
        _implementation = implementation;
        _logger = logger;
        _name = Path.GetFileName(address.Path);
        _controlPath = SocketTakeover.ControlPathOf(address);
        _privatePrefix = $".{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_name)))[..DigestLength]}";
    }

    /// <summary>Where the file is while the server serves.</summary>
    public UnixSocketAddress Address => _address;

    /// <summary>Whether the path is a successor's now.</summary>
    public bool IsHandedOver { get; private set; }

    /// <summary>Whether someone removed the file or put another in its place, and did not take the path over.</summary>
    public bool IsLost
    {
        get
        {
            lock (_changing)
            {
                // By the path and not in the open folder, which may have been replaced too.
                return _lock is not null && _names is not null && !_names.IsOwn(
                    _name, FileStatus.ReadLink(_address.Path, out var status) == 0 ? status.Identity : null);
            }
        }
    }

    private Folder HeldFolder => _folder ?? throw new InvalidOperationException("the path is not claimed");

    /// <summary>Locks the path, refuses one that is in use or takes it over, and makes the private folder.</summary>
    /// <exception cref="SamehostException">
    /// Another server holds the path, something else is there, or the folder can't be written to, or by every user.
    /// </exception>
    public async Task ClaimAsync(CancellationToken cancellationToken = default)
    {
        _folder = Folder.OpenFor(_address, _options.TrustFolder, _logger);
        try
        {
            await LockAsync(TimeSpan.Zero, cancellationToken);
        }
        catch (SocketInUseException) when (_options.TakeOver)
        {
            _predecessor = await Predecessor.AskAsync(_address, cancellationToken);
            await LockAsync(LockTime, cancellationToken);
        }

        if (_options.TakeOver && _predecessor is null && _folder.Look(_name) == SocketPathState.Live)
        {
            // Someone has removed the lock file that it holds.
            _predecessor = await Predecessor.AskAsync(_address, cancellationToken);
        }

        RefuseWhatIsNotStale();
        MakePrivateFolder();
    }

    /// <summary>Binds the socket where nobody else can reach it, and gives it its group and mode.</summary>
    /// <exception cref="SamehostException">The system refuses the socket, the group or the mode.</exception>
    public Socket Bind()
    {
        _boundPath = NewPrivatePath();
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(_boundPath));
            // The group first: chown(2) may clear bits of the mode.
            if (_options.GroupId is { } groupId
                && NativeMethods.ChangeOwner(_boundPath, NativeMethods.KeepUser, groupId) != 0)
            {
                throw new IOException(Marshal.GetLastPInvokeErrorMessage());
            }

            File.SetUnixFileMode(_boundPath, _options.Mode);
            return socket;
        }
        catch (Exception error) when (error is SocketException or IOException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new SamehostException(
                $"cannot make the socket {_address.Path} with mode {SocketPath.Octal(_options.Mode)} and group "
                + $"{_options.GroupId?.ToString() ?? "its own"}: {Explain(error)}; "
                + $"{SocketPath.DescribePermissions(_address.Path)}; only a group that this process is in can be given",
                error);
        }
    }

    /// <summary>Renames the socket, which serves by now, onto the path: from here on it is found.</summary>
    /// <exception cref="SamehostException">
    /// The system refuses the name, or someone has put something there since <see cref="ClaimAsync"/>.
    /// </exception>
    public void Publish()
    {
        try
        {
            if (_controlPath is not null)
            {
                // Before the predecessor is told: as it goes, it removes the file that is there while it is its own.
                var privateControl = NewPrivatePath();
                _control = Successors.Listen(privateControl);
                Rename(privateControl, Path.GetFileName(_controlPath));
            }

            RefuseWhatIsNew();
            Rename(_boundPath!, _name);
        }
        catch (Exception error) when (error is SocketException or UnauthorizedAccessException
            || (error is IOException and not SamehostException))
        {
            throw new SamehostException(
                $"cannot publish {_address.Path}: {Explain(error)}; {SocketPath.DescribePermissions(_address.Path)}; "
                + "let this process write there",
                error);
        }

        lock (_changing)
        {
            _private?.Remove();
        }

        _predecessor?.TellPublished();
    }

    /// <summary>Waits for a successor, and hands the path over to it; for one that gives up, the next.</summary>
    /// <returns>Whether a successor has the path; otherwise there will be none.</returns>
    public async Task<bool> HandOverAsync(CancellationToken cancellationToken)
    {
        if (_control is null)
        {
            return false;
        }

        using (_control) // nobody may wait for an answer that does not come
        {
            var successors = new Successors(_address, _control, Release, Retake, _logger);
            IsHandedOver = await successors.HandOverAsync(cancellationToken);
            return IsHandedOver;
        }
    }

    /// <summary>Waits, once the file is published, until it is lost.</summary>
    /// <remarks>
    /// A FileSystemWatcher would say so at once, but takes one of the 128 inotify instances that a user has, and hears
    /// nothing of what the other side of a network mount does (inotify(7)).
    /// </remarks>
    public async Task WatchAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(WatchPace);
        while (!IsLost)
        {
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    /// <summary>
    /// Removes the path if it is still this server's own, and releases the lock; safe from any thread, and again.
    /// </summary>
    public void Withdraw()
    {
        lock (_changing)
        {
            if (_names is { Any: true } && !IsHandedOver)
            {
                Retake(); // a successor that was told it may have the lock need not have it yet
            }

            _withdrawn = true;
            if (_lock is not null)
            {
                // Without the lock, a successor may put its own there between a look and a removal.
                _names?.Remove();
            }

            _names?.Forget();
            _private?.Remove();
            _lock?.Dispose();
            _lock = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_changing)
        {
            Withdraw();
            _names?.Dispose();
            _names = null;
            _private?.Dispose();
            _private = null;
            _folder?.Dispose();
            _folder = null;
        }

        _control?.Dispose();
        _predecessor?.Dispose();
    }

    /// <summary>Takes the lock, and tries for so long while someone else holds it.</summary>
    private async Task LockAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(LockPace, cancellationToken))
        {
            try
            {
                lock (_changing)
                {
                    RefuseWhenWithdrawn();
                    _lock = NewLock();
                    return;
                }
            }
            catch (SocketInUseException) when (waited.Elapsed < wait)
            {
                // The next try may do.
            }
        }
    }

    private SocketLock NewLock() => new(HeldFolder, _address, _implementation);

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

    private void RefuseWhatIsNotStale()
    {
        _found = HeldFolder.IdentityOf(_name);
        switch (HeldFolder.Look(_name))
        {
            case SocketPathState.NotASocket:
                throw new SamehostException(
                    $"{_address.Path} exists and is not a socket; move it away or choose another path");
            case SocketPathState.Live when _predecessor is null:
                throw new SocketInUseException(
                    $"{_address.Path} has a server already: someone answers there without holding {_address.Path}.lock; "
                    + "stop that server or choose another path");
            case SocketPathState.Forbidden:
                throw new SocketInUseException(
                    $"{_address.Path} may have a server: this process is not allowed to ask; "
                    + $"{SocketPath.DescribePermissions(_address.Path)}; remove the file if nobody serves there");
        }

        if (_controlPath is not null
            && FileStatus.ReadLink(HeldFolder.At(Path.GetFileName(_controlPath)), out var control) == 0
            && !control.IsSocket)
        {
            throw new SamehostException(
                $"{_controlPath} is needed to hand {_address.Path} over and is not a socket; "
                + "move it away or choose another path");
        }
    }

    private void MakePrivateFolder()
    {
        if (_predecessor is null) // which keeps further names of its sockets in one
        {
            PrivateFolder.Sweep(HeldFolder, _privatePrefix);
        }

        try
        {
            lock (_changing)
            {
                RefuseWhenWithdrawn();
                _private = new PrivateFolder(HeldFolder, _privatePrefix);
                _names = new PublishedNames(HeldFolder, _privatePrefix);
            }
        }
        catch (Exception error) when (error is UnauthorizedAccessException
            || (error is IOException and not SamehostException))
        {
            throw new SamehostException(
                $"cannot create a private folder beside {_address.Path}: {Explain(error)}; "
                + $"{SocketPath.DescribePermissions(_address.Folder)}; let this process write there",
                error);
        }
    }

    private string NewPrivatePath() =>
        _private?.NewPath() ?? throw new InvalidOperationException("the path is not claimed");

    private void RefuseWhatIsNew()
    {
        if (HeldFolder.IdentityOf(_name) != _found)
        {
            throw new SocketInUseException(
                $"someone put another file at {_address.Path} while this server started; it is kept: move it away or "
                + "choose another path");
        }
    }

    private void RefuseWhenWithdrawn()
    {
        if (_withdrawn)
        {
            throw new SamehostException($"the server of {_address.Path} was stopped while it started");
        }
    }

    private void Rename(string privatePath, string name)
    {
        lock (_changing)
        {
            RefuseWhenWithdrawn();
            _names!.Publish(privatePath, name);
        }
    }

    /// <summary>What went wrong, with paths that people know.</summary>
    private string Explain(Exception error)
    {
        var message = _private?.Explain(error.Message) ?? error.Message;
        return HeldFolder.Explain(message);
    }
}
