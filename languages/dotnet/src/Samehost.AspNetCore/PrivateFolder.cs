using System.Security.Cryptography;

namespace Samehost.AspNetCore;

/// <summary>A new folder in another one, which only this user may enter.</summary>
internal sealed class PrivateFolder : IDisposable
{
    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Hexadecimal digits: so many names that nobody can make all of them first.</summary>
    private const int TokenLength = 8;

    private readonly Folder _parent;
    private readonly string _name;
    private readonly Folder _folder;

    /// <summary>Makes the folder.</summary>
    /// <param name="parent">The other folder.</param>
    /// <param name="prefix">How the name begins, so that <see cref="Sweep"/> finds it when its server was killed.</param>
    /// <exception cref="IOException">The system refuses it, or someone put another folder in its place.</exception>
    /// <exception cref="UnauthorizedAccessException">The other folder can't be written to.</exception>
    public PrivateFolder(Folder parent, string prefix)
    {
        _parent = parent;
        _name = prefix + Token();
        Directory.CreateDirectory(parent.At(_name), OnlyUser);
        _folder = OpenNew();
        try
        {
            if (!IsPrivate(_folder))
            {
                throw new IOException($"another user replaced {_folder.FullName}");
            }

            var mode = _folder.Status().Mode;
            if ((mode & OnlyUser) != OnlyUser)
            {
                // The umask has taken some. chmod(2) may clear the bit by which the folder's group is inherited.
                _folder.SetMode(OnlyUser | (mode & UnixFileMode.SetGroup));
            }
        }
        catch
        {
            _folder.Dispose();
            throw;
        }
    }

    /// <summary>The path of a name in the folder.</summary>
    public string At(string name) => _folder.At(name);

    /// <summary>The path of a new name in the folder.</summary>
    /// <remarks>
    /// A random one: a socket that is disposed of unlinks the path it was bound to, whatever is there by then, and the
    /// number of the descriptor in it may be another folder's.
    /// </remarks>
    public string NewPath() => _folder.At(Token());

    /// <summary>Removes the folder and the sockets in it; doing it twice is harmless.</summary>
    public void Remove() => Remove(_folder, _parent, _name);

    /// <summary>Closes the folder, which stays unless it was removed.</summary>
    public void Dispose() => _folder.Dispose();

    /// <summary>Removes the private folders of servers that were killed; called with the lock of the path held.</summary>
    public static void Sweep(Folder parent, string prefix)
    {
        foreach (var name in parent.NamesFrom(prefix))
        {
            try
            {
                using var left = parent.OpenOwn(name);
                if (IsPrivate(left))
                {
                    Remove(left, parent, name);
                }
            }
            catch (IOException)
            {
                // No folder, or one of somebody else.
            }
        }
    }

    private Folder OpenNew()
    {
        try
        {
            return _parent.OpenOwn(_name);
        }
        catch (IOException)
        {
            NativeMethods.RemoveFolder(_parent.At(_name)); // as where no descriptor is left: it is empty
            throw;
        }
    }

    private static string Token() => RandomNumberGenerator.GetHexString(TokenLength, lowercase: true);

    /// <summary>Whether a folder is this user's, and nobody else can have put anything there.</summary>
    private static bool IsPrivate(Folder folder) =>
        folder.Status() is { IsOwn: true } status && (status.Mode & Others) == 0;

    private static void Remove(Folder folder, Folder parent, string name)
    {
        foreach (var each in folder.NamesFrom(""))
        {
            if (FileStatus.ReadLink(folder.At(each), out var status) == 0 && status.IsSocket)
            {
                NativeMethods.RemoveFile(folder.At(each));
            }
        }

        NativeMethods.RemoveFolder(parent.At(name)); // Directory.Delete would remove a symbolic link, too
    }
}
