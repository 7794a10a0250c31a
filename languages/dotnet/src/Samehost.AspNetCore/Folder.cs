using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Samehost.AspNetCore;

/// <summary>An open folder, so that another user cannot replace it between two operations.</summary>
/// <remarks>Linux resolves <c>/proc/self/fd/N/name</c> relative to the open descriptor.</remarks>
internal sealed partial class Folder : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly string _heldPath;

    private Folder(SafeFileHandle handle, string fullName)
    {
        _handle = handle;
        _heldPath = $"/proc/self/fd/{handle.DangerousGetHandle()}/";
        FullName = fullName;
    }

    /// <summary>The path of the folder, for messages.</summary>
    public string FullName { get; }

    /// <summary>Opens the folder of a socket.</summary>
    /// <param name="socket">The address of the socket.</param>
    /// <param name="trusted">Accepts a folder that every user can write to, with a warning.</param>
    /// <param name="logger">Receives the warning.</param>
    /// <exception cref="SamehostException">
    /// The folder cannot be opened, or every user can write to it. A user who can write to a folder can replace the
    /// sockets in it, unless its sticky bit is set (unlink(2)).
    /// </exception>
    public static Folder OpenFor(UnixSocketAddress socket, bool trusted, ILogger logger)
    {
        var folder = OpenFolderOf(socket);
        var mode = folder.Status().Mode;
        if ((mode & (UnixFileMode.OtherWrite | UnixFileMode.StickyBit)) != UnixFileMode.OtherWrite)
        {
            return folder;
        }

        if (trusted)
        {
            LogOpenToAll(logger, socket.Path, folder.FullName, SocketProbe.Octal(mode));
            return folder;
        }

        folder.Dispose();
        throw SamehostException.CannotListen(
            SamehostError.UnsafeFolder,
            socket,
            $"every user can replace the socket, because {folder.FullName} has mode {SocketProbe.Octal(mode)}; "
            + $"run chmod o-w {folder.FullName}");
    }

    /// <summary>Opens a folder in this one. Does not follow a symbolic link.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="IOException">The folder cannot be opened.</exception>
    public Folder OpenOwn(string name) =>
        Open(At(name), Path.Combine(FullName, name), NativeMethods.OpenFolder | NativeMethods.DoNotFollowLinks);

    /// <summary>Returns the path of a name in the folder, relative to the open descriptor.</summary>
    /// <exception cref="ObjectDisposedException">
    /// The folder is closed, and its descriptor may name another one.
    /// </exception>
    public string At(string name)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        return _heldPath + name;
    }

    /// <summary>Reads the owner and the mode.</summary>
    public FileStatus Status() => FileStatus.Read(_handle);

    public void SetMode(UnixFileMode mode) => File.SetUnixFileMode(At(""), mode);

    /// <summary>Lists the names with a prefix. The list is empty if this process cannot read the folder.</summary>
    public IReadOnlyList<string> NamesFrom(string prefix)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(At(""), $"{prefix}*").Select(path => Path.GetFileName(path))];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Returns the identity of the file with a name, or null if it does not exist.</summary>
    public FileIdentity? IdentityOf(string name) =>
        FileStatus.ReadLink(At(name), out var status) == 0 ? status.Identity : null;

    /// <summary>Returns the state of a name, as <see cref="SocketProbe.Look"/> does.</summary>
    public SocketState Look(string name) => SocketProbe.Look(Path.Combine(FullName, name), At(name));

    public void Dispose() => _handle.Dispose();

    private static Folder OpenFolderOf(UnixSocketAddress socket)
    {
        try
        {
            return Open(socket.Folder, socket.Folder, NativeMethods.OpenFolder);
        }
        catch (DirectoryNotFoundException error)
        {
            throw SamehostException.CannotListen(
                SamehostError.NoFolder,
                socket,
                $"the folder {socket.Folder} does not exist; create it or mount it",
                error);
        }
        catch (IOException error)
        {
            throw SamehostException.CannotListen(
                SamehostError.System,
                socket,
                $"cannot open its folder: {Errno.Describe(error)}: {SocketProbe.DescribePermissions(socket.Folder)}; "
                + "give this process search permission",
                error);
        }
    }

    private static Folder Open(string path, string fullName, int flags)
    {
        var handle = NativeMethods.OpenFile(path, flags, UnixFileMode.None);
        if (!handle.IsInvalid)
        {
            return new Folder(handle, fullName);
        }

        var error = Marshal.GetLastPInvokeError();
        var message = Errno.Describe(error);
        throw error is Errno.NoSuchFile or Errno.NotAFolder
            ? new DirectoryNotFoundException(message)
            : new IOException(message);
    }

    [LoggerMessage(LogLevel.Warning, "every user can replace the socket {Path}, because {Folder} has mode {Mode}")]
    private static partial void LogOpenToAll(ILogger logger, string path, string folder, string mode);
}
