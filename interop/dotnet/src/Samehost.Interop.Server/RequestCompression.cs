using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Server;

/// <summary>Checks whether each request message is compressed as it states.</summary>
internal static class RequestCompression
{
    private static readonly object Compressed = new();

    /// <summary>
    /// Records for each call whether its current message is compressed. Needs an IHttpContextAccessor.
    /// </summary>
    public static void Observe(this GrpcServiceOptions options, IHttpContextAccessor accessor) =>
        options.CompressionProviders = ObservedCompressionProvider.All(
            () => accessor.HttpContext!.Items[Compressed] = true);

    /// <summary>
    /// Rejects the last message if its compression differs from the expected. Call it once per message.
    /// </summary>
    public static void Check(ServerCallContext context, BoolValue? expected)
    {
        var compressed = context.GetHttpContext().Items.Remove(Compressed);
        if (expected is not null && expected.Value != compressed)
        {
            var actual = compressed ? "compressed" : "uncompressed";
            throw new RpcException(new Status(
                StatusCode.InvalidArgument, $"expect_compressed is {expected.Value}, but the message is {actual}"));
        }
    }
}
