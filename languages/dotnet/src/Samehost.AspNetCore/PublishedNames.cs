using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <summary>The names in a folder that a server gives its sockets, and takes back while they are still its own.</summary>
internal sealed class PublishedNames(Folder folder, string privatePrefix) : IDisposable
{
    private readonly Dictionary<string, FileIdentity> _identities = [];

    /// <summary>Has further names of the sockets, while a successor may take or remove the public ones.</summary>
    private PrivateFolder? _kept;

    /// <summary>Whether there are any.</summary>
    public bool Any => _identities.Count > 0;

    /// <summary>Renames a socket onto a public name.</summary>
    /// <exception cref="IOException">The system refuses the name.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder can't be written to.</exception>
    public void Publish(string privatePath, string name)
    {
        if (FileStatus.ReadLink(privatePath, out var status) == 0)
        {
            _identities[name] = status.Identity;
        }

        File.Move(privatePath, folder.At(name), overwrite: true);
    }

    /// <summary>Whether a file is the one that this server has published.</summary>
    public bool IsOwn(string name, FileIdentity? found) => _identities.TryGetValue(name, out var own) && found == own;

    /// <summary>Removes the names that are still this server's own.</summary>
    public void Remove()
    {
        foreach (var name in _identities.Keys)
        {
            if (IsOwn(name))
            {
                NativeMethods.RemoveFile(folder.At(name));
            }
        }
    }

    /// <summary>Gives the sockets further names, before a successor has the lock.</summary>
    /// <remarks>
    /// Where the file system has no hard links, and a successor dies with the public names, the server serves on and is
    /// lost, which it notices.
    /// </remarks>
    public void Keep()
    {
        try
        {
            _kept = new PrivateFolder(folder, privatePrefix);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return;
        }

        foreach (var name in _identities.Keys)
        {
            if (IsOwn(name))
            {
                NativeMethods.LinkFile(folder.At(name), _kept.At(name));
            }
        }
    }

    /// <summary>Gives the sockets their public names again where a successor that took them has died.</summary>
    public void Restore()
    {
        if (_kept is null)
        {
            return;
        }

        foreach (var name in _identities.Keys)
        {
            Restore(_kept.At(name), name);
        }

        Forget();
    }

    /// <summary>Removes the further names.</summary>
    public void Forget()
    {
        _kept?.Remove();
        _kept?.Dispose();
        _kept = null;
    }

    public void Dispose() => Forget();

    private bool IsOwn(string name) => IsOwn(name, folder.IdentityOf(name));

    private void Restore(string keptPath, string name)
    {
        try
        {
            if (!IsOwn(name) && folder.Look(name) is SocketState.Absent or SocketState.Stale)
            {
                File.Move(keptPath, folder.At(name), overwrite: true);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SocketException)
        {
            // The link was not made, or somebody else's is there: WatchAsync says that the file is lost.
        }
    }
}
