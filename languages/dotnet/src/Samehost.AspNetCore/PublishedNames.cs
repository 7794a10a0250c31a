using System.Net.Sockets;

namespace Samehost.AspNetCore;

/// <summary>The public names of a server's sockets in a folder.</summary>
internal sealed class PublishedNames(Folder folder, string privatePrefix) : IDisposable
{
    private readonly Dictionary<string, FileIdentity> _identities = [];

    /// <summary>
    /// Contains additional names of the sockets while a successor may replace or remove the public ones.
    /// </summary>
    private PrivateFolder? _kept;

    /// <summary>Whether a name has been published.</summary>
    public bool Any => _identities.Count > 0;

    /// <summary>Renames a socket onto a public name.</summary>
    /// <exception cref="IOException">The socket cannot be renamed.</exception>
    /// <exception cref="UnauthorizedAccessException">This process cannot write to the folder.</exception>
    public void Publish(string privatePath, string name)
    {
        if (FileStatus.ReadLink(privatePath, out var status) == 0)
        {
            _identities[name] = status.Identity;
        }

        File.Move(privatePath, folder.At(name), overwrite: true);
    }

    /// <summary>Whether a file is the one that this server published under the name.</summary>
    public bool IsOwn(string name, FileIdentity? found) => _identities.TryGetValue(name, out var own) && found == own;

    /// <summary>Removes the names that still belong to this server.</summary>
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

    /// <summary>Gives the sockets additional names, before a successor gets the lock.</summary>
    /// <remarks>
    /// On a file system without hard links, the public names are lost if a successor takes them and dies.
    /// <see cref="SocketListener.WatchAsync"/> then reports the loss.
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

    /// <summary>Gives the sockets their public names again after a successor took them and died.</summary>
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

    /// <summary>Removes the additional names.</summary>
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
            // The link was not created, or another program's file is there. WatchAsync reports the loss.
        }
    }
}
