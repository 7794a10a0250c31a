using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Samehost;

/// <summary>Which file is at a path, of what kind, and whose.</summary>
/// <param name="Identity">Device and inode: the same as long as it is the same file, under whatever name.</param>
/// <param name="IsSocket">Whether it is a Unix domain socket.</param>
/// <param name="IsRegularFile">Whether it is an ordinary file.</param>
/// <param name="Links">How many names it has.</param>
/// <param name="Mode">Who may do what with it.</param>
/// <param name="UserId">Whose it is.</param>
/// <param name="GroupId">Which group it belongs to.</param>
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

    /// <summary>Whether it belongs to the user that this process acts for.</summary>
    public bool IsOwn => UserId == NativeMethods.EffectiveUserId();

    /// <summary>Looks at a path, following symbolic links.</summary>
    /// <returns>0, or the number of the system's error (errno).</returns>
    public static int Read(string path, out FileStatus status) => Read(path, 0, out status);

    /// <summary>Looks at a path itself, be it a symbolic link or not.</summary>
    /// <returns>0, or the number of the system's error (errno).</returns>
    public static int ReadLink(string path, out FileStatus status) =>
        Read(path, NativeMethods.AtDoNotFollowLinks, out status);

    /// <summary>Looks at an open file.</summary>
    /// <exception cref="IOException">The file system fails.</exception>
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
