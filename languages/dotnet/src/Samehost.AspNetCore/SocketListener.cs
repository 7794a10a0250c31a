using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <summary>
/// Owns the socket at a path. <see cref="SocketListenerExtensions.ListenOnSocket"/> adds it to the services as a
/// singleton.
/// </summary>
/// <remarks>
/// The socket is bound in a private folder beside the path and gets its mode and group there. When the server accepts
/// connections, the socket is renamed to the path. A socket at the path therefore always serves, and never has a wider
/// mode. All files are named relative to open folders. Another user who can write to the folder can replace files
/// there, but cannot make the server change or remove files elsewhere.
/// </remarks>
public sealed partial class SocketListener : IDisposable
{
    /// <summary>Hexadecimal digits: two paths in one folder share a prefix once in 4 billion times.</summary>
    private const int DigestLength = 8;

    private readonly SocketListenerOptions _options;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly string _privatePrefix;

    /// <summary>Protects the names and the lock, because successors and signals arrive on other threads.</summary>
    private readonly Lock _changing = new();
    private bool _withdrawn;

    private Folder? _folder;
    private SocketLock? _lock;
    private FileIdentity? _found;
    private PrivateFolder? _private;
    private string? _boundPath;
    private PublishedNames? _names;

    /// <summary>Creates the listener without changing any file.</summary>
    internal SocketListener(UnixSocketAddress address, SocketListenerOptions options, ILogger<SocketListener> logger)
    {
        Address = address;
        _options = options;
        _logger = logger;
        _name = Path.GetFileName(address.Path);
        _controlPath = options.AllowTakeover || options.TakeOver ? SocketTakeover.ControlPathOf(address) : null;
        _privatePrefix = $".{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_name)))[..DigestLength]}";
    }

    /// <summary>The address of the socket.</summary>
    public UnixSocketAddress Address { get; }

    private Folder HeldFolder => _folder ?? throw new InvalidOperationException("the path is not claimed");

    /// <summary>Locks the path, or takes it over, and creates the private folder.</summary>
    /// <exception cref="SamehostException">
    /// Another server uses the path, a file that is not a socket exists there, this process cannot write to the folder,
    /// or every user can.
    /// </exception>
    internal async Task ClaimAsync(CancellationToken cancellationToken = default)
    {
        _folder = Folder.OpenFor(Address, _options.TrustFolder, _logger);
        if (_options.TakeOver)
        {
            await TakeLockOverAsync(cancellationToken).ConfigureAwait(false);
        }
        else
        {
            TakeLock();
        }

        CheckPath();
        CheckControlPath();
        MakePrivateFolder();
    }

    /// <summary>Binds the socket in the private folder, and sets its group and mode.</summary>
    /// <exception cref="SamehostException">The socket cannot be bound, or its group or mode cannot be set.</exception>
    internal Socket Bind()
    {
        _boundPath = NewPrivatePath();
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(_boundPath));
            SetGroup(_boundPath);
            SetMode(_boundPath); // after the group, because chown(2) may clear bits of the mode
            return socket;
        }
        catch (Exception error)
        {
            socket.Dispose();
            if (IsSystemError(error))
            {
                throw CannotBind(error);
            }

            throw;
        }
    }

    /// <summary>Renames the socket to the path, so that clients can connect. The server must already listen.</summary>
    /// <exception cref="SamehostException">
    /// The socket cannot be renamed, or another file appeared at the path after <see cref="ClaimAsync"/>.
    /// </exception>
    internal void Publish()
    {
        var boundPath = _boundPath
            ?? throw new InvalidOperationException(
                $"cannot listen on {Address.Path}: no server has bound it; use a host with Kestrel");
        try
        {
            PublishControl();
            CheckForNewFile();
            Rename(boundPath, _name);
        }
        catch (Exception error) when (IsSystemError(error))
        {
            throw CannotListen(
                $"cannot move the socket there: {Errno.Describe(error)}: "
                + $"{SocketProbe.DescribePermissions(Address.Path)}; give this process write permission",
                error);
        }

        lock (_changing)
        {
            _private?.Remove();
        }

        _predecessor?.TellPublished();
    }

    /// <summary>
    /// Removes the socket if it still belongs to this server, and releases the lock. The host calls it when it stops. A
    /// program that exits without stopping the host calls it before it exits. It can be called from any thread, and
    /// more than once.
    /// </summary>
    public void Withdraw()
    {
        lock (_changing)
        {
            if (_names is { Any: true } && !TakenOver.IsCancellationRequested)
            {
                Retake(); // a successor to which the lock was released may not have taken it yet
            }

            _withdrawn = true;
            if (_lock is not null)
            {
                // Without the lock, a successor could publish its socket between the check and the removal.
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

    private void TakeLock()
    {
        lock (_changing)
        {
            ThrowIfWithdrawn();
            _lock = NewLock();
        }
    }

    private SocketLock NewLock() => new(HeldFolder, Address, _options.Owner ?? "");

    private void CheckPath()
    {
        _found = HeldFolder.IdentityOf(_name);
        switch (HeldFolder.Look(_name))
        {
            case SocketState.NotASocket:
                throw NotASocket("it");
            case SocketState.Live when _predecessor is null:
                throw InUse(
                    $"a server that does not hold {Address.Path}.lock answers there; "
                    + "stop that server or use another path");
            case SocketState.Forbidden:
                throw InUse(
                    $"cannot check for a running server: {Errno.Describe(Errno.AccessDenied)}: "
                    + $"{SocketProbe.DescribePermissions(Address.Path)}; remove the socket if no server uses it");
        }
    }

    private void MakePrivateFolder()
    {
        if (_predecessor is null) // a predecessor keeps additional names of its sockets in such a folder
        {
            PrivateFolder.Sweep(HeldFolder, _privatePrefix);
        }

        try
        {
            lock (_changing)
            {
                ThrowIfWithdrawn();
                _private = new PrivateFolder(HeldFolder, _privatePrefix);
                _names = new PublishedNames(HeldFolder, _privatePrefix);
            }
        }
        catch (Exception error) when (IsSystemError(error))
        {
            throw CannotListen(
                $"cannot create a private folder beside it: {Errno.Describe(error)}: "
                + $"{SocketProbe.DescribePermissions(Address.Folder)}; "
                + "give this process write permission, and the file system space",
                error);
        }
    }

    private void SetGroup(string path)
    {
        if (_options.GroupId is { } groupId && NativeMethods.ChangeOwner(path, NativeMethods.KeepUser, groupId) != 0)
        {
            throw CannotListen($"cannot set the group {groupId}: {Errno.DescribeLast()}; use a group of this process");
        }
    }

    private void SetMode(string path)
    {
        try
        {
            File.SetUnixFileMode(path, _options.Mode);
        }
        catch (Exception error) when (IsSystemError(error))
        {
            throw CannotListen(
                $"cannot set the mode {SocketProbe.Octal(_options.Mode)}: {Errno.Describe(error)}; "
                + "use a file system that has permissions",
                error);
        }
    }

    private string NewPrivatePath() =>
        _private?.NewPath() ?? throw new InvalidOperationException("the path is not claimed");

    private void CheckForNewFile()
    {
        if (HeldFolder.IdentityOf(_name) != _found)
        {
            throw InUse("another file appeared there during the start; move it or use another path");
        }
    }

    private void ThrowIfWithdrawn()
    {
        if (_withdrawn)
        {
            throw new OperationCanceledException(
                $"cannot listen on {Address.Path}: the server was stopped during its start");
        }
    }

    private void Rename(string privatePath, string name)
    {
        lock (_changing)
        {
            ThrowIfWithdrawn();
            _names!.Publish(privatePath, name);
        }
    }

    private static bool IsSystemError(Exception error) =>
        error is SocketException or UnauthorizedAccessException or IOException and not SamehostException;

    private SamehostException NotASocket(string file) => SamehostException.CannotListen(
        SamehostError.NotASocket, Address, $"{file} exists and is not a socket; move it or use another path");

    private SamehostException InUse(string reason) =>
        SamehostException.CannotListen(SamehostError.InUse, Address, reason);

    private SamehostException CannotBind(Exception error) => CannotListen(
        $"cannot bind a socket: {Errno.Describe(error)}; use a file system that has sockets and space", error);

    private SamehostException CannotListen(string reason, Exception? error = null) =>
        SamehostException.CannotListen(SamehostError.System, Address, reason, error);
}
