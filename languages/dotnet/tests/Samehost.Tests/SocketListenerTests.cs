using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Samehost.AspNetCore;
using Xunit;

namespace Samehost.Tests;

public sealed class SocketListenerTests : IDisposable
{
    private const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const UnixFileMode OnlyOwner = OnlyUser | UnixFileMode.UserExecute;

    private readonly TemporaryFolder _folder = new();

    private string LockPath => _folder.At("app.sock.lock");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task CanBeReachedOnlyWhilePublished()
    {
        using var listener = NewListener();
        await listener.ClaimAsync(Cancelled);
        using var socket = listener.Bind();
        Assert.False(File.Exists(_folder.Address.Path));

        socket.Listen();
        listener.Publish();
        Assert.Equal(OnlyUser, File.GetUnixFileMode(_folder.Address.Path));
        Assert.Equal(SocketState.Live, SocketProbe.Look(_folder.Address.Path));
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);

        listener.Withdraw();
        Assert.Equal(["app.sock.lock"], _folder.Names);
    }

    [Fact]
    public async Task ReplacesAStaleSocket()
    {
        MakeStale(_folder.Address.Path);
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        Assert.Equal(SocketState.Live, SocketProbe.Look(_folder.Address.Path));
    }

    [Fact]
    public async Task RefusesALockedPathAndNamesItsOwner()
    {
        using var first = NewListener();
        using var socket = await ServeAsync(first);
        using var second = NewListener();
        var error = await RefusedAsync(SamehostError.InUse, second);
        Assert.Contains($"{_folder.Address.Path}: grpc-dotnet test, process {Environment.ProcessId}", error.Message);
        Assert.Equal(SocketState.Live, SocketProbe.Look(_folder.Address.Path));
    }

    [Fact]
    public async Task RefusesThePathOfAServerWithoutALock()
    {
        using var stranger = _folder.Listen();
        using var listener = NewListener();
        Assert.Contains("does not hold", (await RefusedAsync(SamehostError.InUse, listener)).Message);
    }

    [Theory]
    [InlineData("app.sock")]
    [InlineData("app.sock.takeover")]
    public async Task RefusesAFileThatIsNotASocket(string name)
    {
        File.WriteAllText(_folder.At(name), "dear diary");
        using (var listener = NewListener())
        {
            await RefusedAsync(SamehostError.NotASocket, listener);
        }

        Assert.Equal("dear diary", File.ReadAllText(_folder.At(name)));
    }

    [Theory]
    [InlineData("versions = 1\n")]
    [InlineData("{}")]
    [InlineData("[1]")]
    public async Task RefusesALockFileWithOtherData(string content)
    {
        var path = _folder.Address.Path + ".lock";
        File.WriteAllText(path, content);
        using (var listener = NewListener())
        {
            Assert.Contains("holds the data", (await RefusedAsync(SamehostError.LockFile, listener)).Message);
        }

        Assert.Equal(content, File.ReadAllText(path));
    }

    [Fact]
    public async Task RemovesOnlyItsOwnSocket()
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        File.Delete(_folder.Address.Path);
        MakeStale(_folder.Address.Path);
        listener.Withdraw();
        Assert.Equal(SocketState.Stale, SocketProbe.Look(_folder.Address.Path));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task NoticesThatItsSocketIsRemoved(bool replaced)
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        Assert.False(listener.IsLost);
        var watching = listener.WatchAsync(Cancelled);
        File.Delete(_folder.Address.Path);
        if (replaced)
        {
            MakeStale(_folder.Address.Path);
        }

        await watching;
        Assert.True(listener.Removed.IsCancellationRequested);
    }

    [Fact]
    public async Task RemovesThePrivateFolderOfAKilledServer()
    {
        Directory.CreateDirectory(PrivateFolder(), OnlyOwner);
        MakeStale(Path.Combine(PrivateFolder(), "s"));

        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);
    }

    [Fact]
    public async Task KeepsFoldersOfOthersWithAPrivateName()
    {
        var others = _folder.At("others");
        Directory.CreateDirectory(others, OnlyOwner);
        MakeStale(Path.Combine(others, "s"));
        Directory.CreateSymbolicLink(PrivateFolder(), others);
        Directory.CreateDirectory(PrivateFolder("1"), OnlyOwner | UnixFileMode.GroupRead);
        MakeStale(Path.Combine(PrivateFolder("1"), "s"));

        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        Assert.True(File.Exists(Path.Combine(others, "s")));
        Assert.True(File.Exists(Path.Combine(PrivateFolder("1"), "s")));
    }

    [Theory]
    [InlineData(UnixFileMode.None, false)]
    [InlineData(UnixFileMode.StickyBit, true)]
    public async Task RefusesAFolderThatEveryUserCanWriteTo(UnixFileMode sticky, bool served)
    {
        File.SetUnixFileMode(_folder.At(""), OnlyOwner | UnixFileMode.OtherWrite | sticky);
        using var listener = NewListener();
        if (served)
        {
            await listener.ClaimAsync(Cancelled);
            return;
        }

        await RefusedAsync(SamehostError.UnsafeFolder, listener);
        Assert.Empty(_folder.Names);
        using var trusting = NewListener(trustFolder: true);
        await trusting.ClaimAsync(Cancelled);
    }

    [Fact]
    public async Task SetsTheModeOfALockFileThatOthersCouldLock()
    {
        File.WriteAllText(LockPath, "");
        File.SetUnixFileMode(LockPath, OnlyUser | UnixFileMode.OtherRead);
        using var listener = NewListener();
        await listener.ClaimAsync(Cancelled);
        Assert.Equal(OnlyUser, File.GetUnixFileMode(LockPath));
    }

    [Fact]
    public async Task RefusesALockFileThatIsALinkOrAFolder()
    {
        File.CreateSymbolicLink(LockPath, _folder.At("secret"));
        using var listener = NewListener();
        Assert.Contains("not a regular file", (await RefusedAsync(SamehostError.LockFile, listener)).Message);
        Assert.False(File.Exists(_folder.At("secret")));

        File.Delete(LockPath);
        Directory.CreateDirectory(LockPath);
        Assert.Contains("not a regular file", (await RefusedAsync(SamehostError.LockFile, listener)).Message);
    }

    [Fact]
    public async Task KeepsAFileThatAppearsDuringTheStart()
    {
        using var listener = NewListener();
        await listener.ClaimAsync(Cancelled);
        using var socket = listener.Bind();
        socket.Listen();
        MakeStale(_folder.Address.Path);
        var error = Assert.Throws<SamehostException>(listener.Publish);
        Assert.Equal(SamehostError.InUse, error.Error);
        Assert.Contains(_folder.Address.Path, error.Message);
        listener.Withdraw();
        Assert.Equal(["app.sock", "app.sock.lock"], _folder.Names);
    }

    [Fact]
    public async Task NamesThePathIfTheSocketCannotBeBound()
    {
        using var listener = NewListener();
        await listener.ClaimAsync(Cancelled);
        Directory.Delete(Assert.Single(Directory.GetDirectories(_folder.At(""))));
        var error = Assert.Throws<SamehostException>(listener.Bind);
        Assert.Contains(_folder.Address.Path, error.Message);
        Assert.DoesNotContain("/proc/", error.Message);
    }

    [Fact]
    public async Task ServesAtTheLongestPathOfAShortFolder()
    {
        var longest = UnixSocketAddress.Parse(_folder.At("").PadRight(UnixSocketAddress.MaxPathBytes, 's'));
        using var listener = NewListener(longest);
        using var socket = await ServeAsync(listener);
        Assert.Equal(SocketState.Live, SocketProbe.Look(longest.Path));
    }

    [Fact]
    public async Task HandsOverToItsSuccessor()
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        var handingOver = listener.HandOverAsync(Cancelled);

        using var successor = NewListener(takeOver: true);
        await successor.ClaimAsync(Cancelled);
        Assert.False(handingOver.IsCompleted);
        using var itsSocket = successor.Bind();
        itsSocket.Listen();
        successor.Publish();
        Assert.True(await handingOver);
        Assert.True(listener.TakenOver.IsCancellationRequested);
        Assert.False(listener.IsLost);

        listener.Withdraw();
        Assert.Equal(["app.sock", "app.sock.lock", "app.sock.takeover"], _folder.Names);
        using var third = NewListener();
        await RefusedAsync(SamehostError.InUse, third);
    }

    [Fact]
    public async Task TakesTheLockAgainIfItsSuccessorGivesUp()
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        var handingOver = listener.HandOverAsync(Cancelled);
        using var next = NewListener(takeOver: true);
        Task claiming;
        using (var successor = NewListener(takeOver: true))
        {
            await successor.ClaimAsync(Cancelled);
            claiming = next.ClaimAsync(Cancelled); // connects, and waits until the first successor ends
        }

        await claiming;
        using var itsSocket = next.Bind();
        itsSocket.Listen();
        next.Publish();
        Assert.True(await handingOver);
    }

    [Fact]
    public async Task HandsOverIfItsLockFileIsRemoved()
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        var handingOver = listener.HandOverAsync(Cancelled);
        File.Delete(LockPath);
        using var successor = NewListener(takeOver: true);
        using var itsSocket = await ServeAsync(successor);
        Assert.True(await handingOver);
    }

    [Fact]
    public async Task TakesItsNamesBackIfItsSuccessorDies()
    {
        using var listener = NewListener();
        using var socket = await ServeAsync(listener);
        var handingOver = listener.HandOverAsync(Cancelled);
        using (var successor = ConnectAsSuccessor())
        {
            Assert.NotEqual(0, successor.Receive(new byte[64])); // the server has released the lock
            MakeStale(_folder.At("dead"));
            File.Move(_folder.At("dead"), _folder.Address.Path, overwrite: true);
            File.Delete(_folder.At("app.sock.takeover"));
        }

        while (!File.Exists(_folder.At("app.sock.takeover")))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(5), Cancelled);
        }

        using var next = NewListener(takeOver: true);
        using var itsSocket = await ServeAsync(next);
        Assert.True(await handingOver);
    }

    [Fact]
    public async Task CannotBeTakenOverUnlessAllowed()
    {
        using var listener = NewListener(new SocketListenerOptions());
        using var socket = await ServeAsync(listener);
        Assert.Equal(["app.sock", "app.sock.lock"], _folder.Names);
        using var successor = NewListener(takeOver: true);
        var error = await RefusedAsync(SamehostError.InUse, successor);
        Assert.Contains("no server listens", error.Message);
    }

    [Fact]
    public void RejectsInvalidMessages()
    {
        foreach (var line in new byte[][]
        {
            [],
            [.. "{}\n"u8],
            [0xFF, (byte)'\n'],
            [.. "{\"event\":\""u8, 0xFF, .. "\"}\n"u8],
            [.. Enumerable.Repeat((byte)'[', 4000)],
        })
        {
            Assert.Null(TakeoverMessage.Parse(line));
        }
    }

    [Fact]
    public async Task CannotBeTakenOverIfItsPathIsTooLong()
    {
        var longest = UnixSocketAddress.Parse(_folder.At("").PadRight(UnixSocketAddress.MaxPathBytes, 's'));
        using var listener = NewListener(longest);
        using var socket = await ServeAsync(listener);
        Assert.False(await listener.HandOverAsync(Cancelled));
        using var successor = NewListener(longest, takeOver: true);
        Assert.Contains("leaves no room", (await RefusedAsync(SamehostError.InUse, successor)).Message);
    }

    private static void MakeStale(string path)
    {
        // A disposed socket removes the path that it was bound to. It does not find the renamed file.
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint($"{path}~"));
            File.Move($"{path}~", path);
        }
    }

    private static async Task<SamehostException> RefusedAsync(SamehostError reason, SocketListener listener)
    {
        var error = await Assert.ThrowsAsync<SamehostException>(() => listener.ClaimAsync(Cancelled));
        Assert.Equal(reason, error.Error);
        Assert.Contains(listener.Address.Path, error.Message);
        return error;
    }

    private static async Task<Socket> ServeAsync(SocketListener listener)
    {
        await listener.ClaimAsync(Cancelled);
        var socket = listener.Bind();
        socket.Listen();
        listener.Publish();
        return socket;
    }

    private Socket ConnectAsSuccessor()
    {
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        connection.Connect(new UnixDomainSocketEndPoint(_folder.At("app.sock.takeover")));
        return connection;
    }

    /// <summary>Returns the path of a private folder, as PROTOCOL.md specifies.</summary>
    private string PrivateFolder(string token = "0") =>
        _folder.At("." + Convert.ToHexStringLower(SHA256.HashData("app.sock"u8))[..8] + token);

    private SocketListener NewListener(bool takeOver = false, bool trustFolder = false) =>
        NewListener(_folder.Address, takeOver, trustFolder);

    private static SocketListener NewListener(
        UnixSocketAddress address, bool takeOver = false, bool trustFolder = false) => NewListener(
        new SocketListenerOptions
        {
            Mode = OnlyUser,
            Owner = "grpc-dotnet test",
            TrustFolder = trustFolder,
            AllowTakeover = true,
            TakeOver = takeOver,
        },
        address);

    private SocketListener NewListener(SocketListenerOptions options) => NewListener(options, _folder.Address);

    private static SocketListener NewListener(SocketListenerOptions options, UnixSocketAddress address) =>
        new(address, options, NullLogger<SocketListener>.Instance);
}
