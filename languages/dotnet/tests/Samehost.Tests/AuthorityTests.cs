using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Samehost.AspNetCore;
using Xunit;

namespace Samehost.Tests;

public sealed class AuthorityTests : IDisposable
{
    private const int FrameHeaderBytes = 9;
    private const byte Data = 0;
    private const byte Headers = 1;
    private const byte Reset = 3;
    private const byte Settings = 4;
    private const byte EndHeadersAndStream = 0x05;

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("%2Frun%2Fapp@1.sock", "-2Frun-2Fapp-1.sock")]
    [InlineData("/run/app:a/\u00FC=1.sock", "-run-app-a---1.sock")]
    [InlineData("localhost", "localhost")]
    [InlineData("localhost:80", "localhost:80")]
    [InlineData("", "")]
    public async Task AcceptsAPathAsAuthority(string authority, string host) =>
        Assert.Equal(host, await AskForHostAsync(authority));

    [Theory]
    [InlineData("local host")]
    [InlineData("localhost:port")]
    public async Task RefusesAnInvalidHost(string authority) => Assert.Null(await AskForHostAsync(authority));

    [Fact]
    public async Task KeepsTheEncodingsOfTheApplication() =>
        Assert.Equal("\u00C3\u00BC", await AskForHostAsync(
            "localhost",
            options => options.RequestHeaderEncodingSelector = name => name == "word" ? Encoding.Latin1 : null,
            context => context.Request.Headers["word"].ToString()));

    /// <summary>Sends one request, and returns the text of the response, or null if the request is refused.</summary>
    private async Task<string?> AskForHostAsync(
        string authority, Action<KestrelServerOptions>? configure = null, Func<HttpContext, string>? answer = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.ListenOnSocket(_folder.Address);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(configure ?? (_ => { }));
        await using var host = builder.Build();
        host.Run(context => context.Response.WriteAsync(
            answer is null ? context.Request.Host.Value ?? "" : answer(context), Cancelled));
        await host.StartAsync(Cancelled);

        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.Address.Path), Cancelled);
        await using var stream = new NetworkStream(socket);
        byte[] fields =
        [
            0x83, 0x84, 0x86, // :method POST, :path /, :scheme http
            .. Field(":authority", authority),
            .. Field("word", "\u00FC"),
        ];
        byte[] request =
        [
            .. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8,
            0, 0, 0, Settings, 0, 0, 0, 0, 0,
            0, 0, (byte)fields.Length, Headers, EndHeadersAndStream, 0, 0, 0, 1,
            .. fields,
        ];
        await stream.WriteAsync(request, Cancelled);
        while (true)
        {
            var header = new byte[FrameHeaderBytes];
            await stream.ReadExactlyAsync(header, Cancelled);
            var payload = new byte[(header[0] << 16) | (header[1] << 8) | header[2]];
            await stream.ReadExactlyAsync(payload, Cancelled);
            switch (header[3])
            {
                case Data:
                    return Encoding.UTF8.GetString(payload);
                case Reset:
                    return null;
            }
        }
    }

    /// <summary>A literal field that does not change the table of HPACK (RFC 7541, section 6.2.2).</summary>
    private static byte[] Field(string name, string value)
    {
        var bytes = Encoding.UTF8.GetBytes(value);
        return [0, (byte)name.Length, .. Encoding.ASCII.GetBytes(name), (byte)bytes.Length, .. bytes];
    }
}
