using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

[assembly: DisableRuntimeMarshalling]

namespace Samehost.Interop.Server;

/// <summary>What .NET has no method for: the group of a file, links, and locks of one's own choice.</summary>
internal static unsafe partial class NativeMethods
{
    public const uint KeepUser = uint.MaxValue;

    /// <summary>O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC.</summary>
    public const int ReadWriteOrCreate = 0x2 | 0x40 | 0x800 | 0x80000;

    /// <summary>LOCK_EX | LOCK_NB.</summary>
    public const int ExclusiveWithoutWaiting = 2 | 4;

    /// <summary>F_OFD_SETLK.</summary>
    public const int SetOpenFileLock = 37;

    /// <summary>F_WRLCK.</summary>
    public const short WriteLock = 1;

    /// <summary>O_NOFOLLOW, which is one bit on ARM and PowerPC, and another elsewhere.</summary>
    public static readonly int DoNotFollowLinks = IsArmOrPower ? 0x8000 : 0x20000;

    /// <summary>O_PATH | O_DIRECTORY | O_CLOEXEC: without the permission to read the folder.</summary>
    public static readonly int OpenFolder = 0x200000 | (IsArmOrPower ? 0x4000 : 0x10000) | 0x80000;

    private static bool IsArmOrPower => RuntimeInformation.ProcessArchitecture
        is Architecture.Arm or Architecture.Armv6 or Architecture.Arm64 or Architecture.Ppc64le;

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

    /// <summary><c>struct flock</c> of fcntl(2) on 64-bit Linux; a length of 0 is "to the end".</summary>
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
