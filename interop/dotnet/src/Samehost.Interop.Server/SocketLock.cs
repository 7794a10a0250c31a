using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Samehost.Interop.Server;

/// <summary>Another server has the path.</summary>
public sealed class SocketInUseException(string message, Exception? innerException = null)
    : SamehostException(message, innerException);

/// <summary>
/// The exclusive lock on <c>PATH.lock</c> that keeps two servers off one path; the system releases it when the process
/// dies.
/// </summary>
/// <remarks>
/// <para>
/// Two locks are taken, because neither kind stops the other: flock(2), which most languages use, and a record lock, which
/// is all that Java has. The record lock is Linux's open file description lock: a POSIX one would be lost as soon as this
/// process closed any other descriptor of the file (fcntl(2)).
/// </para>
/// <para>
/// A FileStream with <see cref="FileShare.None"/> is an flock too, but then nobody could say who has the path: whatever .NET
/// opens it locks, if only shared, so it can't read a file that another process has locked (dotnet/runtime
/// SafeFileHandle.Unix.cs).
/// </para>
/// <para>
/// The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
/// locks a new one.
/// </para>
/// </remarks>
internal sealed class SocketLock : IDisposable
{
    private const int NoSuchFile = 2; // ENOENT
    private const int WouldBlock = 11; // EAGAIN
    private const int AccessDenied = 13; // EACCES, which POSIX lets a record lock say too

    private const int MaxOwnerBytes = 4096;

    private readonly UnixSocketAddress _address;
    private readonly string _path;
    private readonly SafeFileHandle _file;

    /// <summary>Takes the lock, and writes down who has it.</summary>
    /// <exception cref="SocketInUseException">Someone else holds it.</exception>
    /// <exception cref="SamehostException">The file can't be opened, or it is no lock file.</exception>
    public SocketLock(UnixSocketAddress address, string implementation)
    {
        _address = address;
        _path = address.Path + ".lock";
        _file = Open();
        try
        {
            Take();
            Write(new LockOwner(Environment.ProcessId, Environment.MachineName, implementation));
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public void Dispose() => _file.Dispose();

    private SafeFileHandle Open()
    {
        if (new FileInfo(_path).LinkTarget is not null)
        {
            throw Foreign();
        }

        // Whoever may open the file may lock it, and clients must not be able to.
        const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var file = NativeMethods.OpenFile(_path, NativeMethods.ReadWriteOrCreate, OnlyUser);
        if (!file.IsInvalid)
        {
            return file;
        }

        var error = Marshal.GetLastPInvokeError();
        throw new SamehostException(error == NoSuchFile
            ? $"no folder {_address.Folder} for the socket {_address.Path}; create it or mount it"
            : $"cannot open the lock file {_path}: {Marshal.GetPInvokeErrorMessage(error)}; "
                + $"{SocketPath.DescribePermissions(_path)}; let this process write there");
    }

    private void Take()
    {
        var wholeFile = new NativeMethods.FileLock { Type = NativeMethods.WriteLock };
        if (NativeMethods.LockFile(_file, NativeMethods.ExclusiveWithoutWaiting) == 0
            && NativeMethods.ControlFile(_file, NativeMethods.SetOpenFileLock, wholeFile) == 0)
        {
            return;
        }

        var error = Marshal.GetLastPInvokeError();
        if (error is not (WouldBlock or AccessDenied))
        {
            throw new SamehostException(
                $"cannot lock {_path}: {Marshal.GetPInvokeErrorMessage(error)}; "
                + "choose a folder on a file system that has locks");
        }

        var owner = ReadOwner() is { } found
            ? $"{found.Implementation}, process {found.Pid} on host {found.Host},"
            : "someone";
        throw new SocketInUseException(
            $"{_address.Path} has a server already: {owner} holds {_path}; stop that server or choose another path");
    }

    private LockOwner? ReadOwner()
    {
        var content = new byte[MaxOwnerBytes];
        return LockOwner.Parse(content.AsSpan(0, RandomAccess.Read(_file, content, fileOffset: 0)));
    }

    private void Write(LockOwner owner)
    {
        if (RandomAccess.GetLength(_file) > 0 && ReadOwner() is null)
        {
            throw Foreign();
        }

        RandomAccess.SetLength(_file, 0);
        try
        {
            RandomAccess.Write(_file, Encoding.UTF8.GetBytes($"{owner}\n"), fileOffset: 0);
        }
        catch (IOException error)
        {
            throw new SamehostException(
                $"cannot write the lock file {_path}: {error.Message}; make room on its file system", error);
        }
    }

    private SamehostException Foreign() => new(
        $"{_path} is needed as a lock file and holds something else; "
        + "choose another name for the socket, or move that file away");
}
