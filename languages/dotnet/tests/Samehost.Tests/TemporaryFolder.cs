using System.Net.Sockets;

namespace Samehost.Tests;

/// <summary>A new folder for a test, with a path short enough for a socket.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("samehost-");

    public TemporaryFolder() => Address = UnixSocketAddress.Parse(At("app.sock"));

    public UnixSocketAddress Address { get; }

    public string At(string name) => Path.Combine(_folder.FullName, name);

    public IEnumerable<string> Names => _folder.EnumerateFileSystemInfos().Select(each => each.Name).Order();

    /// <summary>Listens at the address without a lock.</summary>
    public Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Address.Path));
        listener.Listen();
        return listener;
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
