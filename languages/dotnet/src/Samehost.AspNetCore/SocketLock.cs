using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Samehost.AspNetCore;

/// <summary>
/// The exclusive lock on <c>PATH.lock</c>, which prevents two servers on one path. The system releases it when the
/// process exits.
/// </summary>
/// <remarks>
/// <para>
/// It takes two locks, because the two kinds do not exclude each other: flock(2), which most languages use, and a
/// record lock, because Java has no other. The record lock is an open file description lock of Linux. A POSIX lock
/// would be lost as soon as this process closed any other descriptor of the file (fcntl(2)).
/// </para>
/// <para>
/// A FileStream with <see cref="FileShare.None"/> is an flock too. But .NET locks every file that it opens, at least
/// shared, so a second server could not read the owner from the locked file (dotnet/runtime SafeFileHandle.Unix.cs).
/// </para>
/// <para>
/// The file stays when the lock is released. If it were removed, one server could lock the removed file while another
/// server locks a new one.
/// </para>
/// <para>
/// Every user who can open the file can lock it. It must therefore be a regular file with one name and mode 0600 that
/// belongs to this user, root or the owner of the folder.
/// </para>
/// </remarks>
internal sealed class SocketLock : IDisposable
{
    private const uint Root = 0;

    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const int MaxOwnerBytes = 4096;

    private readonly UnixSocketAddress _address;
    private readonly string _path;
    private readonly SafeFileHandle _file;

    /// <summary>Takes the lock, and writes its owner into the file.</summary>
    /// <exception cref="SamehostException">
    /// Another process holds the lock, the file cannot be opened, is not a lock file, or belongs to another user.
    /// </exception>
    public SocketLock(Folder folder, UnixSocketAddress address, string implementation)
    {
        _address = address;
        _path = address.Path + ".lock";
        _file = Open(folder.At(Path.GetFileName(_path)));
        try
        {
            CheckFile(folder.Status().UserId);
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

    private SafeFileHandle Open(string heldPath)
    {
        var file = NativeMethods.OpenFile(
            heldPath, NativeMethods.ReadWriteOrCreate | NativeMethods.DoNotFollowLinks, OnlyUser);
        if (!file.IsInvalid)
        {
            return file;
        }

        var error = Marshal.GetLastPInvokeError();
        throw error is Errno.IsAFolder or Errno.IsALink
            ? NotRegular()
            : CannotListen(
                SamehostError.System,
                $"cannot open {_path}: {Errno.Describe(error)}: {SocketProbe.DescribePermissions(_path)}; "
                + "start this server as that user, or use a folder with write permission and space");
    }

    private void CheckFile(uint folderOwner)
    {
        var found = FileStatus.Read(_file);
        if (!found.IsRegularFile || found.Links != 1)
        {
            throw NotRegular();
        }

        if (!found.IsOwn && found.UserId != Root && found.UserId != folderOwner)
        {
            throw CannotListen(
                SamehostError.LockFile,
                $"{_path} belongs to uid {found.UserId}, who could block this server; "
                + "remove it or use a folder that only this user can write to");
        }

        if (found.Mode != OnlyUser)
        {
            RestrictMode(found.Mode);
        }
    }

    private void RestrictMode(UnixFileMode mode)
    {
        try
        {
            File.SetUnixFileMode(_file, OnlyUser);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CannotListen(
                SamehostError.LockFile,
                $"{_path} has mode {SocketProbe.Octal(mode)}, so that other users could lock it: "
                + $"{Errno.Describe(error)}; run chmod 600 {_path}",
                error);
        }
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
        // POSIX allows both for a record lock that another process holds.
        if (error is not (Errno.WouldBlock or Errno.AccessDenied))
        {
            throw CannotListen(
                SamehostError.System,
                $"cannot lock {_path}: {Errno.Describe(error)}; use a file system that has locks");
        }

        var owner = ReadOwner() is { } found
            ? $"{found.Implementation}, process {found.Pid} on host {found.Host},"
            : "another process";
        throw CannotListen(
            SamehostError.InUse,
            $"{owner} holds {_path}; stop that server, replace it with takeover, or use another path");
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
            throw CannotListen(
                SamehostError.LockFile,
                $"{_path} holds the data of another program; move it or use another path");
        }

        RandomAccess.SetLength(_file, 0);
        try
        {
            RandomAccess.Write(_file, Encoding.UTF8.GetBytes($"{owner}\n"), fileOffset: 0);
        }
        catch (IOException error)
        {
            throw CannotListen(
                SamehostError.System,
                $"cannot write {_path}: {Errno.Describe(error)}; free space on its file system",
                error);
        }
    }

    private SamehostException NotRegular() => CannotListen(
        SamehostError.LockFile, $"{_path} is not a regular file with one name; remove it or use another path");

    private SamehostException CannotListen(SamehostError kind, string reason, Exception? error = null) =>
        SamehostException.CannotListen(kind, _address, reason, error);
}
