using System.Net.Sockets;

namespace Samehost.Tests;

/// <summary>A folder of a test's own, with a name short enough for a socket in it.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("samehost-");

    public TemporaryFolder() => Address = UnixSocketAddress.Parse(At("app.sock"));

    public UnixSocketAddress Address { get; }

    public string At(string name) => Path.Combine(_folder.FullName, name);

    public IEnumerable<string> Names => _folder.EnumerateFileSystemInfos().Select(each => each.Name).Order();

    /// <summary>Listens at the address, as a server does.</summary>
    public Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Address.Path));
        listener.Listen();
        return listener;
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
