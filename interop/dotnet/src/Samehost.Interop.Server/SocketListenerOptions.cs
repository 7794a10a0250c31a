namespace Samehost.Interop.Server;

/// <summary>Who may connect to a server's socket, and how its calls end.</summary>
public sealed class SocketListenerOptions
{
    /// <summary>Permissions of the socket. Connecting takes <em>write</em> permission (unix(7)).</summary>
    public UnixFileMode Mode { get; set; } = UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>The group of the socket; null is the process's own.</summary>
    public uint? GroupId { get; set; }

    /// <summary>
    /// Serve in a folder that every user may write to, where any of them can replace the socket. Otherwise it is refused,
    /// unless its sticky bit is set (unlink(2)).
    /// </summary>
    public bool TrustFolder { get; set; }

    /// <summary>
    /// Take the path over from a server that serves there, of whatever language: it hands its lock over, drains and goes,
    /// and its <see cref="Grace"/> must outlast its longest call. Where no server is, it makes no difference.
    /// </summary>
    public bool TakeOver { get; set; }

    /// <summary>
    /// Stop, and exit with 1, when someone removes the socket or puts another in its place. Otherwise that is logged, and
    /// the server goes on for those that are connected.
    /// </summary>
    public bool StopWhenRemoved { get; set; }

    /// <summary>How long calls in progress have to finish when the server stops.</summary>
    public TimeSpan Grace { get; set; } = TimeSpan.FromSeconds(5);
}
