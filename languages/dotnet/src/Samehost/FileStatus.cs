using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Samehost;

/// <summary>The identity, kind, mode and owner of a file.</summary>
/// <param name="Identity">Device and inode, which do not depend on the name of the file.</param>
/// <param name="IsSocket">Whether it is a Unix domain socket.</param>
/// <param name="IsRegularFile">Whether it is a regular file.</param>
/// <param name="Links">The number of its names.</param>
/// <param name="Mode">Its permissions.</param>
/// <param name="UserId">The number of its user.</param>
/// <param name="GroupId">The number of its group.</param>
internal readonly record struct FileStatus(
    FileIdentity Identity,
    bool IsSocket,
    bool IsRegularFile,
    uint Links,
    UnixFileMode Mode,
    uint UserId,
    uint GroupId)
{
    private const int TypeMask = 0xF000;
    private const int SocketType = 0xC000;
    private const int RegularType = 0x8000;
    private const int ModeMask = 0xFFF;

    private FileStatus(NativeMethods.ExtendedStatus found)
        : this(
            new FileIdentity(found.DeviceMajor, found.DeviceMinor, found.Inode),
            (found.TypeAndMode & TypeMask) == SocketType,
            (found.TypeAndMode & TypeMask) == RegularType,
            found.Links,
            (UnixFileMode)(found.TypeAndMode & ModeMask),
            found.UserId,
            found.GroupId)
    {
    }

    /// <summary>Whether it belongs to the effective user of this process.</summary>
    public bool IsOwn => UserId == NativeMethods.EffectiveUserId();

    /// <summary>Reads the status of a path. Follows symbolic links.</summary>
    /// <returns>0, or the number of the system's error (errno).</returns>
    public static int Read(string path, out FileStatus status) => Read(path, 0, out status);

    /// <summary>Reads the status of a path. Does not follow a symbolic link.</summary>
    /// <returns>0, or the number of the system's error (errno).</returns>
    public static int ReadLink(string path, out FileStatus status) =>
        Read(path, NativeMethods.AtDoNotFollowLinks, out status);

    /// <summary>Reads the status of an open file.</summary>
    /// <exception cref="IOException">The file system reports an error.</exception>
    public static FileStatus Read(SafeFileHandle file) =>
        NativeMethods.ReadStatus(file, "", NativeMethods.AtTheOpenFile, NativeMethods.BasicStatus, out var found) == 0
            ? new FileStatus(found)
            : throw new IOException(Errno.DescribeLast());

    private static int Read(string path, int flags, out FileStatus status)
    {
        if (NativeMethods.ReadStatus(
            NativeMethods.AtCurrentFolder, path, flags, NativeMethods.BasicStatus, out var found) != 0)
        {
            status = default;
            return Marshal.GetLastPInvokeError();
        }

        status = new FileStatus(found);
        return 0;
    }
}

/// <summary>Device and inode of a file.</summary>
internal readonly record struct FileIdentity(uint DeviceMajor, uint DeviceMinor, ulong Inode);
