namespace Samehost.AspNetCore;

/// <summary>Who may connect to a server's socket, and whether another server may replace it.</summary>
public sealed class SocketListenerOptions
{
    /// <summary>The permissions of the socket, by default 0660. Connecting takes <em>write</em> permission (unix(7)).</summary>
    public UnixFileMode Mode { get; set; } = UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>
    /// The group of the socket, by default the one that the system gives a new file in the folder.
    /// <see cref="UnixGroup.Parse"/> finds it by name.
    /// </summary>
    public uint? GroupId { get; set; }

    /// <summary>The name of this server in the error that a second one gets, by default the application's name.</summary>
    public string? Owner { get; set; }

    /// <summary>
    /// Listens in a folder that every user may write to, with a warning, although any of them can replace the socket. By
    /// default it is refused, unless its sticky bit is set (unlink(2)).
    /// </summary>
    public bool TrustFolder { get; set; }

    /// <summary>
    /// Lets a successor of any language take the path over; the host then stops. The successor dials
    /// <c>&lt;path&gt;.takeover</c>; a path of more than 98 bytes leaves no room for that name. By default it is off.
    /// </summary>
    public bool AllowTakeover { get; set; }

    /// <summary>
    /// Takes the path over from a server that allows it, which then drains and exits. Where no server is, it makes no
    /// difference. It implies <see cref="AllowTakeover"/>. By default it is off.
    /// </summary>
    public bool TakeOver { get; set; }
}
