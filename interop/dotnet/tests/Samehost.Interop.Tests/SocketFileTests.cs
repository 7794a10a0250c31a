using System.Net.Sockets;
using Samehost.Interop.Server;
using Xunit;

namespace Samehost.Interop.Tests;

public sealed class SocketFileTests : IDisposable
{
    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task IsFoundOnlyWhilePublished()
    {
        using var file = NewFile();
        await file.ClaimAsync(Cancelled);
        using var socket = file.Bind();
        Assert.False(File.Exists(_folder.Address.Path));

        socket.Listen();
        file.Publish();
        Assert.Equal(OnlyUser, File.GetUnixFileMode(_folder.Address.Path));
        Assert.Equal(SocketPathState.Live, SocketPath.Look(_folder.Address));
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);

        file.Withdraw();
        Assert.Equal(["app.sock.lock"], _folder.Names);
    }

    [Fact]
    public async Task ReplacesAStaleSocket()
    {
        MakeStale(_folder.Address.Path);
        using var file = NewFile();
        using var socket = await ServeAsync(file);
        Assert.Equal(SocketPathState.Live, SocketPath.Look(_folder.Address));
    }

    [Fact]
    public async Task RefusesALockedPathAndNamesItsOwner()
    {
        using var first = NewFile();
        using var socket = await ServeAsync(first);
        using var second = NewFile();
        var error = await RefusedAsync(second);
        Assert.Contains($"grpc-dotnet test, process {Environment.ProcessId}", error.Message);
        Assert.Equal(SocketPathState.Live, SocketPath.Look(_folder.Address));
    }

    [Fact]
    public async Task RefusesASocketOfAServerWithoutALock()
    {
        using var stranger = _folder.Listen();
        using var file = NewFile();
        Assert.Contains("has a server already", (await RefusedAsync(file)).Message);
    }

    [Theory]
    [InlineData("app.sock")]
    [InlineData("app.sock.takeover")]
    public async Task RefusesWhatIsNoSocket(string name)
    {
        File.WriteAllText(_folder.At(name), "dear diary");
        using (var file = NewFile())
        {
            Assert.Contains("not a socket", (await RefusedAsync(file)).Message);
        }

        Assert.Equal("dear diary", File.ReadAllText(_folder.At(name)));
    }

    [Theory]
    [InlineData("versions = 1\n")]
    [InlineData("{}")]
    [InlineData("[1]")]
    public async Task RefusesALockFileThatIsSomebodysData(string content)
    {
        var path = _folder.Address.Path + ".lock";
        File.WriteAllText(path, content);
        using (var file = NewFile())
        {
            Assert.Contains("holds something else", (await RefusedAsync(file)).Message);
        }

        Assert.Equal(content, File.ReadAllText(path));
    }

    [Fact]
    public async Task RemovesOnlyItsOwn()
    {
        using var file = NewFile();
        using var socket = await ServeAsync(file);
        File.Delete(_folder.Address.Path);
        MakeStale(_folder.Address.Path);
        file.Withdraw();
        Assert.Equal(SocketPathState.Stale, SocketPath.Look(_folder.Address));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task NoticesThatItIsRemoved(bool replaced)
    {
        using var file = NewFile();
        using var socket = await ServeAsync(file);
        Assert.False(file.IsLost);
        var watching = file.WatchAsync(Cancelled);
        File.Delete(_folder.Address.Path);
        if (replaced)
        {
            MakeStale(_folder.Address.Path);
        }

        await watching;
    }

    [Fact]
    public async Task ClearsAwayWhatAKilledServerLeft()
    {
        using (var killed = NewFile())
        {
            await killed.ClaimAsync(Cancelled);
            var left = Assert.Single(_folder.Names, name => name != "app.sock.lock");
            killed.Withdraw();
            Directory.CreateDirectory(_folder.At(left));
            MakeStale(Path.Combine(_folder.At(left), "s"));
        }

        using var file = NewFile();
        using var socket = await ServeAsync(file);
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);
    }

    [Fact]
    public async Task HandsOverToItsSuccessor()
    {
        using var file = NewFile();
        using var socket = await ServeAsync(file);
        var handingOver = file.HandOverAsync(Cancelled);

        using var successor = NewFile(takeOver: true);
        await successor.ClaimAsync(Cancelled);
        Assert.False(handingOver.IsCompleted);
        using var itsSocket = successor.Bind();
        itsSocket.Listen();
        successor.Publish();
        Assert.True(await handingOver);
        Assert.False(file.IsLost);

        file.Withdraw();
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);
        using var third = NewFile();
        await RefusedAsync(third);
    }

    [Fact]
    public async Task TakesTheLockAgainWhenItsSuccessorGivesUp()
    {
        using var file = NewFile();
        using var socket = await ServeAsync(file);
        var handingOver = file.HandOverAsync(Cancelled);
        using var next = NewFile(takeOver: true);
        Task claiming;
        using (var successor = NewFile(takeOver: true))
        {
            await successor.ClaimAsync(Cancelled);
            claiming = next.ClaimAsync(Cancelled); // dials, and waits its turn
        }

        await claiming;
        using var itsSocket = next.Bind();
        itsSocket.Listen();
        next.Publish();
        Assert.True(await handingOver);
    }

    [Fact]
    public async Task CannotBeTakenOverWhereItsNameLeavesNoRoom()
    {
        var longest = UnixSocketAddress.Parse(_folder.At("").PadRight(UnixSocketAddress.MaxPathBytes, 's'));
        using var file = new SocketFile(longest, OnlyUser, groupId: null, "grpc-dotnet test");
        using var socket = await ServeAsync(file);
        Assert.False(await file.HandOverAsync(Cancelled));
        using var successor = new SocketFile(longest, OnlyUser, groupId: null, "grpc-dotnet test", takeOver: true);
        Assert.Contains("leaves no room for .takeover", (await RefusedAsync(successor)).Message);
    }

    private static void MakeStale(string path)
    {
        // A socket that is disposed of removes the file that it was bound to; one under another name, it does not find.
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint($"{path}~"));
            File.Move($"{path}~", path);
        }
    }

    private static Task<SamehostException> RefusedAsync(SocketFile file) =>
        Assert.ThrowsAnyAsync<SamehostException>(() => file.ClaimAsync(Cancelled));

    private static async Task<Socket> ServeAsync(SocketFile file)
    {
        await file.ClaimAsync(Cancelled);
        var socket = file.Bind();
        socket.Listen();
        file.Publish();
        return socket;
    }

    private SocketFile NewFile(bool takeOver = false) =>
        new(_folder.Address, OnlyUser, groupId: null, "grpc-dotnet test", takeOver);
}
