using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

[assembly: DisableRuntimeMarshalling]

namespace Samehost;

/// <summary>System calls for which .NET has no method: owners, inodes, groups, links and locks.</summary>
internal static unsafe partial class NativeMethods
{
    public const int AtCurrentFolder = -100;
    public const int AtDoNotFollowLinks = 0x100;
    public const int AtTheOpenFile = 0x1000; // AT_EMPTY_PATH

    /// <summary>O_PATH | O_CLOEXEC, which opens any file, also a socket, and needs no read permission.</summary>
    public const int OnlyPath = 0x200000 | 0x80000;

    /// <summary>STATX_BASIC_STATS.</summary>
    public const uint BasicStatus = 0x7FF;

    public const uint KeepUser = uint.MaxValue;

    /// <summary>O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC.</summary>
    public const int ReadWriteOrCreate = 0x2 | 0x40 | 0x800 | 0x80000;

    /// <summary>LOCK_EX | LOCK_NB.</summary>
    public const int ExclusiveWithoutWaiting = 2 | 4;

    /// <summary>F_OFD_SETLK.</summary>
    public const int SetOpenFileLock = 37;

    /// <summary>F_WRLCK.</summary>
    public const short WriteLock = 1;

    /// <summary>O_NOFOLLOW, which has another value on ARM and PowerPC than elsewhere.</summary>
    public static readonly int DoNotFollowLinks = IsArmOrPower ? 0x8000 : 0x20000;

    /// <summary>O_PATH | O_DIRECTORY | O_CLOEXEC, which needs no read permission.</summary>
    public static readonly int OpenFolder = 0x200000 | (IsArmOrPower ? 0x4000 : 0x10000) | 0x80000;

    private static bool IsArmOrPower => RuntimeInformation.ProcessArchitecture
        is Architecture.Arm or Architecture.Armv6 or Architecture.Arm64 or Architecture.Ppc64le;

    /// <summary>Calls statx(2), because the structure of stat(2) differs between processors.</summary>
    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadStatus(int folder, string path, int flags, uint wanted, out ExtendedStatus status);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadStatus(
        SafeFileHandle file, string path, int flags, uint wanted, out ExtendedStatus status);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUserId();

    [LibraryImport("libc", EntryPoint = "getegid")]
    public static partial uint EffectiveGroupId();

    [LibraryImport("libc", EntryPoint = "getgroups", SetLastError = true)]
    public static partial int Groups(int size, uint* groups);

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ChangeOwner(string path, uint userId, uint groupId);

    /// <summary>Returns <c>struct group</c>: two pointers, then the group's number.</summary>
    [LibraryImport("libc", EntryPoint = "getgrnam", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint FindGroup(string name);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle OpenFile(string path, int flags, UnixFileMode mode);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int LinkFile(string path, string newPath);

    [LibraryImport("libc", EntryPoint = "unlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveFile(string path);

    [LibraryImport("libc", EntryPoint = "rmdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveFolder(string path);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int LockFile(SafeFileHandle file, int operation);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int ControlFile(SafeFileHandle file, int command, in FileLock fileLock);

    /// <summary>The fields of <c>struct statx</c> that are used here.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    public struct ExtendedStatus
    {
        [FieldOffset(16)]
        public uint Links;

        [FieldOffset(20)]
        public uint UserId;

        [FieldOffset(24)]
        public uint GroupId;

        [FieldOffset(28)]
        public ushort TypeAndMode;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(136)]
        public uint DeviceMajor;

        [FieldOffset(140)]
        public uint DeviceMinor;
    }

    /// <summary>
    /// <c>struct flock</c> of fcntl(2) on 64-bit Linux. A length of 0 means "to the end of the file".
    /// </summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct FileLock
    {
        public short Type;
        public short Whence;
        public long Start;
        public long Length;
        public int ProcessId;
    }
}
