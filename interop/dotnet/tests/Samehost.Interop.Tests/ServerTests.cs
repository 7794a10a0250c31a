using Grpc.Core;
using Samehost.Interop.Client;
using Xunit;

namespace Samehost.Interop.Tests;

public sealed class ServerTests
{
    private static readonly UnixSocketAddress Nowhere = UnixSocketAddress.Parse("/nonexistent/app.sock");

    [Theory]
    [InlineData(StatusCode.Unavailable, "no socket at /nonexistent/app.sock: there is no folder /nonexistent")]
    [InlineData(StatusCode.NotFound, "unix:/nonexistent/app.sock answered NOT_FOUND: no details")]
    public async Task SaysWhatAFailedCallMeans(StatusCode code, string expected)
    {
        var error = await Server.ExplainAsync(new RpcException(new Status(code, "")), Nowhere);
        Assert.StartsWith(expected, error.Message, StringComparison.Ordinal);
    }
}
