namespace Samehost.Interop.Tests;

/// <summary>A folder of a test's own, with a name short enough for a socket in it.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("samehost-");

    public TemporaryFolder() => Address = UnixSocketAddress.Parse(At("app.sock"));

    public UnixSocketAddress Address { get; }

    public string At(string name) => Path.Combine(_folder.FullName, name);

    public IEnumerable<string> Names => _folder.EnumerateFileSystemInfos().Select(each => each.Name).Order();

    public void Dispose() => _folder.Delete(recursive: true);
}
