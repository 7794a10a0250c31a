using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Samehost.AspNetCore;
using Xunit;

namespace Samehost.Tests;

public sealed class HostTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private UnixSocketAddress OtherAddress => UnixSocketAddress.Parse(_folder.At("other.sock"));

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ServesOnSeveralSockets()
    {
        await using var host = NewHost(_folder.Address, OtherAddress);
        await host.StartAsync(Cancelled);
        Assert.Equal("Ada", await AskAsync(_folder.Address));
        Assert.Equal("Ada", await AskAsync(OtherAddress));
        await host.StopAsync(Cancelled);
        Assert.Equal(["app.sock.lock", "other.sock.lock"], _folder.Names);
    }

    [Fact]
    public async Task RefusesOneSocketTwice()
    {
        await using var host = NewHost(_folder.Address, _folder.Address);
        var error = await Assert.ThrowsAsync<SamehostException>(() => host.StartAsync(Cancelled));
        Assert.Equal(SamehostError.InUse, error.Error);
    }

    [Fact]
    public async Task StopsWhenItIsTakenOver()
    {
        await using var host = NewHost(_folder.Address);
        await host.StartAsync(Cancelled);
        var stopped = host.WaitForShutdownAsync(Cancelled);
        await using var successor = NewHost(_folder.Address);
        await successor.StartAsync(Cancelled);
        await stopped;
        Assert.True(host.Services.GetRequiredService<SocketListener>().TakenOver.IsCancellationRequested);
        Assert.Equal("Ada", await AskAsync(_folder.Address));
    }

    private static WebApplication NewHost(params UnixSocketAddress[] addresses)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        foreach (var address in addresses)
        {
            builder.ListenOnSocket(address, options => options.TakeOver = addresses.Length == 1);
        }

        builder.WebHost.UseKestrelCore();
        var host = builder.Build();
        host.Run(context => context.Response.WriteAsync("Ada"));
        return host;
    }

    private static async Task<string> AskAsync(UnixSocketAddress address)
    {
        using var client = new HttpClient(SocketChannel.CreateHandler(address))
        {
            DefaultRequestVersion = new Version(2, 0),
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        return await client.GetStringAsync(new Uri("http://localhost"), Cancelled);
    }
}
