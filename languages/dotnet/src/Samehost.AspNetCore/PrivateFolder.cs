using System.Security.Cryptography;

namespace Samehost.AspNetCore;

/// <summary>A new folder in another one, to which only this user has access.</summary>
internal sealed class PrivateFolder : IDisposable
{
    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Hexadecimal digits: nobody can create all 4 billion names in advance.</summary>
    private const int TokenLength = 8;

    private readonly Folder _parent;
    private readonly string _name;
    private readonly Folder _folder;

    /// <summary>Creates the folder.</summary>
    /// <param name="parent">The other folder.</param>
    /// <param name="prefix">
    /// The start of the name. <see cref="Sweep"/> finds the folders of killed servers by it.
    /// </param>
    /// <exception cref="IOException">The folder cannot be created, or another user replaced it.</exception>
    /// <exception cref="UnauthorizedAccessException">This process cannot write to the other folder.</exception>
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
                // The umask removed permissions. Keep the set-group-ID bit: files inherit their group by it.
                _folder.SetMode(OnlyUser | (mode & UnixFileMode.SetGroup));
            }
        }
        catch
        {
            _folder.Dispose();
            throw;
        }
    }

    /// <summary>Returns the path of a name in the folder.</summary>
    public string At(string name) => _folder.At(name);

    /// <summary>Returns the path of a new name in the folder.</summary>
    /// <remarks>
    /// The name is random, because .NET removes the path of a socket that is disposed of without checking what is
    /// there, and the descriptor number in the path may belong to another folder by then.
    /// </remarks>
    public string NewPath() => _folder.At(Token());

    /// <summary>Removes the folder and the sockets in it. A second call has no effect.</summary>
    public void Remove() => Remove(_folder, _parent, _name);

    /// <summary>Closes the folder without removing it.</summary>
    public void Dispose() => _folder.Dispose();

    /// <summary>Removes the private folders of killed servers. The caller must hold the lock of the path.</summary>
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
                // It is not a folder, or it belongs to another user.
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
            NativeMethods.RemoveFolder(_parent.At(_name)); // it is empty; opening fails if no descriptor is left
            throw;
        }
    }

    private static string Token() => RandomNumberGenerator.GetHexString(TokenLength, lowercase: true);

    /// <summary>Whether a folder belongs to this user, and no other user can have put files into it.</summary>
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

        NativeMethods.RemoveFolder(parent.At(name)); // Directory.Delete would also remove a symbolic link
    }
}
