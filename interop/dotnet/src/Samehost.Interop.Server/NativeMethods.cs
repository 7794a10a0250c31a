using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

[assembly: DisableRuntimeMarshalling]

namespace Samehost.Interop.Server;

/// <summary>What .NET has no method for: the group of a file, and locks of one's own choice.</summary>
internal static unsafe partial class NativeMethods
{
    public const uint KeepUser = uint.MaxValue;

    /// <summary>O_RDWR | O_CREAT | O_CLOEXEC.</summary>
    public const int ReadWriteOrCreate = 0x2 | 0x40 | 0x80000;

    /// <summary>LOCK_EX | LOCK_NB.</summary>
    public const int ExclusiveWithoutWaiting = 2 | 4;

    /// <summary>F_OFD_SETLK.</summary>
    public const int SetOpenFileLock = 37;

    /// <summary>F_WRLCK.</summary>
    public const short WriteLock = 1;

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ChangeOwner(string path, uint userId, uint groupId);

    /// <summary>Returns <c>struct group</c>: two pointers, then the group's number.</summary>
    [LibraryImport("libc", EntryPoint = "getgrnam", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint FindGroup(string name);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle OpenFile(string path, int flags, UnixFileMode mode);

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
