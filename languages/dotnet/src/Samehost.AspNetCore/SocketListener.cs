using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Samehost.AspNetCore;

/// <summary>
/// A server's hold on a path. <see cref="SocketListenerExtensions.ListenOnSocket"/> adds it to the services as a singleton.
/// </summary>
/// <remarks>
/// The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
/// there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
/// never one with a wider mode. All is named relative to folders that are held open: another user who may write to the
/// folder can replace what is there, and can't make the server change or remove a file of somebody else.
/// </remarks>
public sealed partial class SocketListener : IDisposable
{
    /// <summary>Hexadecimal digits: two paths of one folder find each other's private folders once in 4 billion.</summary>
    private const int DigestLength = 8;

    private readonly SocketListenerOptions _options;
    private readonly ILogger _logger;
    private readonly string _name;
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

    /// <summary>Prepares to hold a path; nothing is touched yet.</summary>
    internal SocketListener(UnixSocketAddress address, SocketListenerOptions options, ILogger<SocketListener> logger)
    {
        Address = address;
        _options = options;
        _logger = logger;
        _name = Path.GetFileName(address.Path);
        _controlPath = options.AllowTakeover || options.TakeOver ? SocketTakeover.ControlPathOf(address) : null;
        _privatePrefix = $".{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_name)))[..DigestLength]}";
    }

    /// <summary>Where the server listens.</summary>
    public UnixSocketAddress Address { get; }

    private Folder HeldFolder => _folder ?? throw new InvalidOperationException("the path is not claimed");

    /// <summary>Locks the path, refuses one that is in use or takes it over, and makes the private folder.</summary>
    /// <exception cref="SamehostException">
    /// Another server holds the path, something else is there, or the folder can't be written to, or by every user.
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

        RefuseWhatIsNotStale();
        RefuseControlThatIsNoSocket();
        MakePrivateFolder();
    }

    /// <summary>Binds the socket where nobody else can reach it, and gives it its group and mode.</summary>
    /// <exception cref="SamehostException">The system refuses the socket, the group or the mode.</exception>
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

    /// <summary>Renames the socket, which serves by now, onto the path: from here on it is found.</summary>
    /// <exception cref="SamehostException">
    /// The system refuses the name, or someone has put something there since <see cref="ClaimAsync"/>.
    /// </exception>
    internal void Publish()
    {
        var boundPath = _boundPath
            ?? throw new InvalidOperationException($"no server has bound {Address.Path}: ListenOnSocket needs Kestrel");
        try
        {
            PublishControl();
            RefuseWhatIsNew();
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
    /// Removes the path if it is still this server's own, and releases the lock. The host does it when it stops; a program
    /// that ends without the host calls it before. It is safe to call from any thread, and more than once.
    /// </summary>
    public void Withdraw()
    {
        lock (_changing)
        {
            if (_names is { Any: true } && !TakenOver.IsCancellationRequested)
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

    private void TakeLock()
    {
        lock (_changing)
        {
            RefuseWhenWithdrawn();
            _lock = NewLock();
        }
    }

    private SocketLock NewLock() => new(HeldFolder, Address, _options.Owner ?? "");

    private void RefuseWhatIsNotStale()
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

    private void RefuseWhatIsNew()
    {
        if (HeldFolder.IdentityOf(_name) != _found)
        {
            throw InUse("another file appeared there during the start; move it or use another path");
        }
    }

    private void RefuseWhenWithdrawn()
    {
        if (_withdrawn)
        {
            throw new OperationCanceledException($"the server of {Address.Path} was stopped while it started");
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

    private static bool IsSystemError(Exception error) =>
        error is SocketException or UnauthorizedAccessException or IOException and not SamehostException;

    private SamehostException NotASocket(string file) => SamehostException.CannotListen(
        SamehostError.NotASocket, Address, $"{file} exists and is not a socket; move it or use another path");

    private SamehostException InUse(string reason) =>
        SamehostException.CannotListen(SamehostError.InUse, Address, reason);

    private SamehostException CannotBind(Exception error) =>
        CannotListen($"cannot bind a socket: {Errno.Describe(error)}; use a file system that has sockets and space", error);

    private SamehostException CannotListen(string reason, Exception? error = null) =>
        SamehostException.CannotListen(SamehostError.System, Address, reason, error);
}
