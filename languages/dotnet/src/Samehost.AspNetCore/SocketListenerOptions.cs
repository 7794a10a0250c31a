namespace Samehost.AspNetCore;

/// <summary>Options of a socket: its permissions, its folder, and takeover.</summary>
public sealed class SocketListenerOptions
{
    /// <summary>
    /// The permissions of the socket. Connecting takes write permission (unix(7)). The default is 0660.
    /// </summary>
    public UnixFileMode Mode { get; set; } = UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>
    /// The group number (gid) of the socket. <see cref="UnixGroup.Parse"/> finds it by name. The default is the group
    /// that the system gives a new file in the folder.
    /// </summary>
    public uint? GroupId { get; set; }

    /// <summary>
    /// The name of this server in the error of a second server on the path. The default is the application's name.
    /// </summary>
    public string? Owner { get; set; }

    /// <summary>
    /// Listens in a folder that every user can write to and that has no sticky bit, and logs a warning. Every user can
    /// replace the socket in such a folder (unlink(2)). The default is false: the start fails.
    /// </summary>
    public bool TrustFolder { get; set; }

    /// <summary>
    /// Lets a successor in any language take over the path. The host then stops. The successor connects to
    /// <c>&lt;path&gt;.takeover</c>; a path of more than 98 bytes leaves no room for that name. The default is false.
    /// </summary>
    public bool AllowTakeover { get; set; }

    /// <summary>
    /// Takes over the path from a running server that allows it. That server then drains and stops. Has no effect if no
    /// server runs. Implies <see cref="AllowTakeover"/>. The default is false.
    /// </summary>
    public bool TakeOver { get; set; }
}
