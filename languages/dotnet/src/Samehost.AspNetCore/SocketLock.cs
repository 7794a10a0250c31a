using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Samehost.AspNetCore;

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
/// <para>
/// Whoever may open the file may lock it, so it must be this server's alone: a regular file with one name and mode 0600, of
/// this user, of root or of the folder's owner.
/// </para>
/// </remarks>
internal sealed class SocketLock : IDisposable
{
    private const int WouldBlock = 11; // EAGAIN
    private const int AccessDenied = 13; // EACCES, which POSIX lets a record lock say too
    private const int IsFolder = 21; // EISDIR
    private const int IsLink = 40; // ELOOP

    private const uint Root = 0;

    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const int MaxOwnerBytes = 4096;

    private readonly UnixSocketAddress _address;
    private readonly string _path;
    private readonly SafeFileHandle _file;

    /// <summary>Takes the lock, and writes down who has it.</summary>
    /// <exception cref="SamehostException">Someone else holds it.</exception>
    /// <exception cref="SamehostException">
    /// The file can't be opened, is no lock file, or is another user's.
    /// </exception>
    public SocketLock(Folder folder, UnixSocketAddress address, string implementation)
    {
        _address = address;
        _path = address.Path + ".lock";
        _file = Open(folder.At(Path.GetFileName(_path)));
        try
        {
            RefuseWhatOthersMayLock(folder.Status().UserId);
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
        throw error is IsFolder or IsLink
            ? NotRegular()
            : new SamehostException(
                SamehostError.System,
                $"cannot open the lock file {_path}: {Marshal.GetPInvokeErrorMessage(error)}; "
                + $"{SocketProbe.DescribePermissions(_path)}; let this process write there");
    }

    private void RefuseWhatOthersMayLock(uint folderOwner)
    {
        var found = FileStatus.Read(_file);
        if (!found.IsRegularFile || found.Links != 1)
        {
            throw NotRegular();
        }

        if (!found.IsOwn && found.UserId != Root && found.UserId != folderOwner)
        {
            throw new SamehostException(
                SamehostError.LockFile,
                $"the lock file {_path} belongs to uid {found.UserId}, who could keep this server from starting; "
                + "remove it, or choose a folder that only this user may write to");
        }

        if (found.Mode != OnlyUser)
        {
            Narrow(found.Mode);
        }
    }

    private void Narrow(UnixFileMode mode)
    {
        try
        {
            File.SetUnixFileMode(_file, OnlyUser);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new SamehostException(
                SamehostError.LockFile,
                $"the lock file {_path} has mode {SocketProbe.Octal(mode)}, and others could hold it; run chmod 600 {_path}",
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
        if (error is not (WouldBlock or AccessDenied))
        {
            throw new SamehostException(
                SamehostError.System,
                $"cannot lock {_path}: {Marshal.GetPInvokeErrorMessage(error)}; "
                + "choose a folder on a file system that has locks");
        }

        var owner = ReadOwner() is { } found
            ? $"{found.Implementation}, process {found.Pid} on host {found.Host},"
            : "someone";
        throw new SamehostException(
            SamehostError.InUse,
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
                SamehostError.System,
                $"cannot write the lock file {_path}: {error.Message}; make room on its file system", error);
        }
    }

    private SamehostException NotRegular() => new(
        SamehostError.LockFile,
        $"{_path} is needed as a lock file and is no regular file with one name; "
        + "remove it, or choose another name for the socket");

    private SamehostException Foreign() => new(
        SamehostError.LockFile,
        $"{_path} is needed as a lock file and holds something else; "
        + "choose another name for the socket, or move that file away");
}
