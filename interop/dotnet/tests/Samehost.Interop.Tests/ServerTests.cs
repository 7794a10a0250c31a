using Grpc.Core;
using Samehost.Interop.Client;
using Xunit;

namespace Samehost.Interop.Tests;

public sealed class ServerTests
{
    private static readonly UnixSocketAddress Nowhere = UnixSocketAddress.Parse("/nonexistent/app.sock");

    [Theory]
    [InlineData(StatusCode.Unavailable, "cannot connect to /nonexistent/app.sock: ")]
    [InlineData(StatusCode.NotFound, "cannot complete the call to unix:/nonexistent/app.sock: NOT_FOUND: ")]
    public async Task ExplainsAFailedCall(StatusCode code, string expected)
    {
        var error = await Server.ExplainAsync(new RpcException(new Status(code, "")), Nowhere);
        Assert.StartsWith(expected, error.Message, StringComparison.Ordinal);
    }
}
