using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Samehost;

/// <summary>What is at the path of a socket.</summary>
internal enum SocketState
{
    /// <summary>Nothing is there.</summary>
    Absent,

    /// <summary>Something other than a socket is there.</summary>
    NotASocket,

    /// <summary>A socket is there and nobody listens on it.</summary>
    Stale,

    /// <summary>A socket is there, or may be, and this process may not connect to it.</summary>
    Forbidden,

    /// <summary>A socket is there and someone listens on it.</summary>
    Live,
}

/// <summary>Finds out about the path of a socket; both ends ask, each for its own errors.</summary>
internal static class SocketProbe
{
    /// <summary>Looks at the path and, where it is a socket, dials it; never waits, never changes anything.</summary>
    /// <remarks>
    /// A socket that is bound and does not listen yet looks stale, as connect(2) gives ECONNREFUSED for both; so servers
    /// are kept apart by a lock and not by this.
    /// </remarks>
    /// <param name="path">The path.</param>
    /// <param name="heldPath">Another path to the same file, by which it is found, as from a folder that is held open.</param>
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
    /// Says whose the path is (or, where it can't be seen, the folder above), with which mode, and who asks.
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

    /// <summary>A mode as chmod(1) writes it, as in 0660.</summary>
    public static string Octal(UnixFileMode mode) => Convert.ToString((int)mode, 8).PadLeft(4, '0');

    private static SocketState Dial(SafeFileHandle file)
    {
        // By its descriptor it is this very file, and a path that is never too long.
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
                _ => SocketState.Live, // EAGAIN: its queue is full, so someone listens
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
