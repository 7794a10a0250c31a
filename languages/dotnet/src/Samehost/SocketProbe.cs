using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Samehost;

/// <summary>The state of a socket's path.</summary>
internal enum SocketState
{
    /// <summary>No file exists.</summary>
    Absent,

    /// <summary>A file that is not a socket exists.</summary>
    NotASocket,

    /// <summary>A socket exists, and no server listens on it.</summary>
    Stale,

    /// <summary>A socket exists or may exist, and this process does not have permission to connect to it.</summary>
    Forbidden,

    /// <summary>A socket exists, and a server listens on it.</summary>
    Live,
}

/// <summary>Inspects the path of a socket, for the errors of both ends.</summary>
internal static class SocketProbe
{
    /// <summary>Inspects a path and, if it is a socket, connects to it. Does not wait, and changes nothing.</summary>
    /// <remarks>
    /// A socket that is bound but does not listen yet looks stale, because connect(2) returns ECONNREFUSED for both.
    /// Therefore servers use a lock, not this method, to exclude each other.
    /// </remarks>
    /// <param name="path">The path, for messages.</param>
    /// <param name="heldPath">The path to open, relative to an open folder. The default is the path itself.</param>
    public static SocketState Look(string path, string? heldPath = null)
    {
        using var file = NativeMethods.OpenFile(heldPath ?? path, NativeMethods.OnlyPath, UnixFileMode.None);
        if (!file.IsInvalid)
        {
            return FileStatus.Read(file).IsSocket ? Dial(file) : SocketState.NotASocket;
        }

        return Marshal.GetLastPInvokeError() switch
        {
            Errno.NoSuchFile or Errno.NotAFolder => SocketState.Absent,
            Errno.AccessDenied => SocketState.Forbidden,
            var error => throw new SamehostException(
                SamehostError.System, $"cannot inspect {path}: {Errno.Describe(error)}; check its folder"),
        };
    }

    /// <summary>
    /// Describes the owner and mode of a path, or of the first visible folder above it, and the user of this process.
    /// </summary>
    public static string DescribePermissions(string path)
    {
        for (var visible = path; visible is not null; visible = Path.GetDirectoryName(visible))
        {
            if (FileStatus.Read(visible, out var status) == 0)
            {
                return $"{visible} belongs to uid {status.UserId} and gid {status.GroupId} with mode "
                    + $"{Octal(status.Mode)}, and this process is uid {NativeMethods.EffectiveUserId()} "
                    + $"with gids {string.Join(' ', GroupIds())}";
            }
        }

        return $"nothing above {path} can be seen";
    }

    /// <summary>Formats a mode in octal, such as 0660.</summary>
    public static string Octal(UnixFileMode mode) => Convert.ToString((int)mode, 8).PadLeft(4, '0');

    private static SocketState Dial(SafeFileHandle file)
    {
        // The path of the descriptor always names the file that was inspected, and is never too long for a socket.
        var path = $"/proc/self/fd/{file.DangerousGetHandle()}";
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Blocking = false;
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return SocketState.Live;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode switch
            {
                SocketError.ConnectionRefused => SocketState.Stale,
                SocketError.AccessDenied => SocketState.Forbidden,
                _ => SocketState.Live, // EAGAIN: a server listens, and its queue is full
            };
        }
    }

    private static unsafe SortedSet<uint> GroupIds()
    {
        var ids = new uint[NativeMethods.Groups(0, null)];
        fixed (uint* first = ids)
        {
            NativeMethods.Groups(ids.Length, first);
        }

        return [.. ids, NativeMethods.EffectiveGroupId()];
    }
}
