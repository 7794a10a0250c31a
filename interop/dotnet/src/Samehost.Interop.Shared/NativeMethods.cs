using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

[assembly: DisableRuntimeMarshalling]

namespace Samehost.Interop;

/// <summary>What .NET does not say of a file and of this process: owners and inodes.</summary>
internal static unsafe partial class NativeMethods
{
    public const int AtCurrentFolder = -100;
    public const int AtDoNotFollowLinks = 0x100;
    public const int AtTheOpenFile = 0x1000; // AT_EMPTY_PATH

    /// <summary>O_PATH | O_CLOEXEC: the file itself, be it a socket, without the permission to read it.</summary>
    public const int OnlyPath = 0x200000 | 0x80000;

    /// <summary>The fields up to the inode, STATX_BASIC_STATS.</summary>
    public const uint BasicStatus = 0x7FF;

    /// <summary>statx(2) and not stat(2), whose structure is another one on each processor.</summary>
    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadStatus(int folder, string path, int flags, uint wanted, out ExtendedStatus status);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadStatus(
        SafeFileHandle file, string path, int flags, uint wanted, out ExtendedStatus status);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle OpenFile(string path, int flags);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUserId();

    [LibraryImport("libc", EntryPoint = "getegid")]
    public static partial uint EffectiveGroupId();

    [LibraryImport("libc", EntryPoint = "getgroups", SetLastError = true)]
    public static partial int Groups(int size, uint* groups);

    /// <summary><c>struct statx</c>, the fields of it that are used here.</summary>
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
}
