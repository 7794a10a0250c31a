using Xunit;

namespace Samehost.Tests;

public sealed class SocketDialerTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WaitsForAServer()
    {
        var connecting = DialAsync(Long);
        Assert.False(connecting.IsCompleted);
        using var listener = _folder.Listen();
        await using var connection = await connecting.WaitAsync(Long, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task NamesThePath()
    {
        var error = await Assert.ThrowsAsync<SamehostException>(() => DialAsync(TimeSpan.Zero));
        Assert.Equal(SamehostError.NoServer, error.Error);
        Assert.Contains(_folder.Address.Path, error.Message);
    }

    [Fact]
    public async Task DoesNotWaitIfThePathIsNotASocket()
    {
        await File.WriteAllTextAsync(
            _folder.Address.Path, "dear diary", TestContext.Current.CancellationToken);
        var connecting = DialAsync(Timeout.InfiniteTimeSpan);
        var error = await Assert.ThrowsAsync<SamehostException>(
            () => connecting.WaitAsync(Long, TestContext.Current.CancellationToken));
        Assert.Equal(SamehostError.NotASocket, error.Error);
    }

    [Fact]
    public async Task ReadsTheResponseAfterTheServerHasClosed()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var listener = _folder.Listen();
        await using var connection = await DialAsync(Long);
        using (var accepted = await listener.AcceptAsync(cancellation))
        {
            await connection.WriteAsync("unread call"u8.ToArray(), cancellation);
            await accepted.SendAsync("answer"u8.ToArray(), cancellation);
        }

        // The first write fails with ECONNRESET, because of the unread call, and the second one with EPIPE.
        await connection.WriteAsync("window"u8.ToArray(), cancellation);
        await connection.WriteAsync("window"u8.ToArray(), cancellation);
        var answer = new byte["answer".Length];
        await connection.ReadExactlyAsync(answer, cancellation);
        Assert.Equal("answer"u8.ToArray(), answer);
    }

    /// <summary>Connects as a handler does. The dialer ignores the context.</summary>
    private Task<Stream> DialAsync(TimeSpan wait) =>
        new SocketDialer(_folder.Address, wait).ConnectAsync(null!, TestContext.Current.CancellationToken).AsTask();
}
