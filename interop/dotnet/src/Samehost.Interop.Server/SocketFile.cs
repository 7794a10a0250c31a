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
/// never one with a wider mode.
/// </remarks>
public sealed class SocketFile : IDisposable
{
    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Hexadecimal digits: two paths of one folder share a private name once in 4 billion.</summary>
    private const int FolderNameLength = 8;

    /// <summary>
    /// Random digits: a socket that is disposed of unlinks the name it was bound to, whatever is there by then, and a server
    /// that drains would take away what its successor has just bound.
    /// </summary>
    private const int SocketNameLength = 4;

    /// <summary>
    /// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
    /// </summary>
    private static readonly TimeSpan LockTime = TimeSpan.FromSeconds(2);

    /// <summary>How often to try: the system tells no one when a lock is released but whoever waits without a deadline.</summary>
    private static readonly TimeSpan LockPace = TimeSpan.FromMilliseconds(5);

    /// <summary>How often to look for the file: clients that wait dial about as often, and a look takes microseconds.</summary>
    private static readonly TimeSpan WatchPace = TimeSpan.FromSeconds(1);

    private readonly UnixSocketAddress _address;
    private readonly UnixFileMode _mode;
    private readonly uint? _groupId;
    private readonly string _implementation;
    private readonly bool _takeOver;
    private readonly string _privateFolder;
    private readonly string _privatePath;
    private readonly string? _controlPath;
    private readonly Dictionary<string, FileIdentity> _published = [];

    /// <summary>Held while names and the lock change hands: successors and signals come when they like.</summary>
    private readonly Lock _changing = new();
    private SocketLock? _lock;
    private bool _withdrawn;

    private SocketTakeover.Predecessor? _predecessor;
    private Socket? _control;

    /// <summary>Prepares to hold a path; nothing is touched yet.</summary>
    /// <exception cref="SamehostException">The path leaves no room for a private name beside it.</exception>
    public SocketFile(
        UnixSocketAddress address, UnixFileMode mode, uint? groupId, string implementation, bool takeOver = false)
    {
        _address = address;
        _mode = mode;
        _groupId = groupId;
        _implementation = implementation;
        _takeOver = takeOver;
        _controlPath = SocketTakeover.ControlPathOf(address);
        (_privateFolder, _privatePath) = PrivateNamesOf(address);
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
                return _lock is not null && !IsOwn(_address.Path);
            }
        }
    }

    /// <summary>Locks the path, refuses one that is in use or takes it over, and makes the private folder.</summary>
    /// <exception cref="SamehostException">
    /// Another server holds the path, something else is there, or the folder can't be written to.
    /// </exception>
    public async Task ClaimAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            await LockAsync(TimeSpan.Zero, cancellationToken);
        }
        catch (SocketInUseException) when (_takeOver)
        {
            _predecessor = await SocketTakeover.Predecessor.AskAsync(_address, cancellationToken);
            await LockAsync(LockTime, cancellationToken);
        }

        RefuseWhatIsNotStale();
        try
        {
            RemovePrivateFolder();
            Directory.CreateDirectory(_privateFolder, OnlyUser);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new SamehostException(
                $"cannot create {_privateFolder} for the socket {_address.Path}: {error.Message}; "
                + $"{SocketPath.DescribePermissions(_address.Folder)}; let this process write there",
                error);
        }
    }

    /// <summary>Binds the socket where nobody else can reach it, and gives it its group and mode.</summary>
    /// <exception cref="SamehostException">The system refuses the socket, the group or the mode.</exception>
    public Socket Bind()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(_privatePath));
            // The group first: chown(2) may clear bits of the mode.
            if (_groupId is { } groupId
                && NativeMethods.ChangeOwner(_privatePath, NativeMethods.KeepUser, groupId) != 0)
            {
                throw new IOException(Marshal.GetLastPInvokeErrorMessage());
            }

            File.SetUnixFileMode(_privatePath, _mode);
            return socket;
        }
        catch (Exception error) when (error is SocketException or IOException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new SamehostException(
                $"cannot make the socket {_address.Path} with mode {SocketPath.Octal(_mode)} and group "
                + $"{_groupId?.ToString() ?? "its own"}: {error.Message}; "
                + $"{SocketPath.DescribePermissions(_address.Path)}; only a group that this process is in can be given",
                error);
        }
    }

    /// <summary>Renames the socket, which serves by now, onto the path: from here on it is found.</summary>
    /// <exception cref="SamehostException">The system refuses the name.</exception>
    public void Publish()
    {
        try
        {
            if (_controlPath is not null)
            {
                // Before the predecessor is told: as it goes, it removes the file that is there while it is its own.
                _control = ListenForSuccessors(out var privateControl);
                Rename(privateControl, _controlPath);
            }

            Rename(_privatePath, _address.Path);
            _predecessor?.TellPublished();
            Directory.Delete(_privateFolder);
        }
        catch (Exception error) when (error is SocketException or IOException or UnauthorizedAccessException)
        {
            throw new SamehostException(
                $"cannot publish {_address.Path}: {error.Message}; {SocketPath.DescribePermissions(_address.Path)}; "
                + "let this process write there",
                error);
        }
    }

    /// <summary>Waits for a successor, and hands the path over to it; for one that gives up, the next.</summary>
    /// <returns>Whether a successor has the path; otherwise there will be none.</returns>
    /// <exception cref="SamehostException">A successor gave up, and the lock can't be had again.</exception>
    public async Task<bool> HandOverAsync(CancellationToken cancellationToken)
    {
        if (_control is null)
        {
            return false;
        }

        using (_control) // nobody may wait for an answer that does not come
        {
            IsHandedOver = await SocketTakeover.HandOverAsync(_control, Release, RetakeAsync, cancellationToken);
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
            if (!_withdrawn && !IsHandedOver && _published.Count > 0)
            {
                TakeBackLock();
            }

            _withdrawn = true;
            try
            {
                // Without the lock the names and the private folder are a successor's, which may put its own there between
                // a look and a removal.
                if (_lock is not null)
                {
                    foreach (var path in _published.Keys)
                    {
                        RemoveIfOwn(path);
                    }

                    RemovePrivateFolder();
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // The folder is gone, or no longer ours: the next server finds a stale file, which it replaces.
            }

            _lock?.Dispose();
            _lock = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Withdraw();
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
                    _lock = _withdrawn ? null : new SocketLock(_address, _implementation);
                    return;
                }
            }
            catch (SocketInUseException) when (waited.Elapsed < wait)
            {
                // The next try may do.
            }
        }
    }

    /// <summary>Takes the lock if a successor that was told it may have it has not; called under <c>_changing</c>.</summary>
    private void TakeBackLock()
    {
        try
        {
            _lock ??= new SocketLock(_address, _implementation);
        }
        catch (SamehostException)
        {
            // The successor's, and so are the names.
        }
    }

    /// <summary>Lets a successor have the lock; false where this server has none, as it goes.</summary>
    private bool Release()
    {
        lock (_changing)
        {
            var held = _lock is not null;
            _lock?.Dispose();
            _lock = null;
            return held;
        }
    }

    /// <summary>Takes the lock again when a successor gave up; without it, others still find the path live.</summary>
    private async Task RetakeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await LockAsync(LockTime, cancellationToken);
        }
        catch (SamehostException error)
        {
            throw new SamehostException(
                $"a takeover of {_address.Path} was given up, and its lock can't be had again: {error.Message}", error);
        }
    }

    /// <summary>A socket that only this server's own user may dial, and that listens before it gets its public name.</summary>
    private Socket ListenForSuccessors(out string privatePath)
    {
        privatePath = _privatePath[..^1] + "t"; // the other one's digits are hexadecimal
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

    private void Rename(string privatePath, string path)
    {
        lock (_changing)
        {
            _ = FileStatus.ReadLink(privatePath, out var status);
            _published[path] = status.Identity;
            File.Move(privatePath, path, overwrite: true);
        }
    }

    private void RemoveIfOwn(string path)
    {
        if (IsOwn(path))
        {
            File.Delete(path);
        }
    }

    private bool IsOwn(string path) =>
        FileStatus.ReadLink(path, out var status) == 0 && status.Identity == _published[path];

    private void RefuseWhatIsNotStale()
    {
        switch (SocketPath.Look(_address))
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

        if (_controlPath is not null && FileStatus.ReadLink(_controlPath, out var control) == 0 && !control.IsSocket)
        {
            throw new SamehostException(
                $"{_controlPath} is needed to hand {_address.Path} over and is not a socket; "
                + "move it away or choose another path");
        }
    }

    /// <summary>Removes what this server, or one that was killed while it started, left; safe, as it holds the lock.</summary>
    private void RemovePrivateFolder()
    {
        var folder = new DirectoryInfo(_privateFolder);
        if (!folder.Exists)
        {
            return;
        }

        // Of a symbolic link only the link goes: what is behind it is somebody else's.
        foreach (var file in folder.LinkTarget is null ? folder.GetFiles() : [])
        {
            if (FileStatus.ReadLink(file.FullName, out var status) == 0 && status.IsSocket)
            {
                file.Delete();
            }
        }

        folder.Delete();
    }

    /// <summary>
    /// The folder's name depends on the path alone, so that the next server finds what one that was killed has left. Both
    /// names get shorter where the path is long, as the private path must fit into a socket's address too.
    /// </summary>
    private static (string Folder, string Socket) PrivateNamesOf(UnixSocketAddress address)
    {
        var room = UnixSocketAddress.MaxPathBytes - Encoding.UTF8.GetByteCount(address.Folder) - "/./".Length;
        if (room < "ab".Length)
        {
            throw new SamehostException(
                $"{address.Path} leaves no room for a private name beside it; choose a folder with a shorter name");
        }

        var socketLength = Math.Min(SocketNameLength, room / 2);
        var name = Encoding.UTF8.GetBytes(Path.GetFileName(address.Path));
        var digest = Convert.ToHexStringLower(SHA256.HashData(name));
        var folder = Path.Combine(address.Folder, $".{digest[..Math.Min(room - socketLength, FolderNameLength)]}");
        return (folder, Path.Combine(folder, RandomNumberGenerator.GetHexString(socketLength, lowercase: true)));
    }
}
