using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Server;

/// <summary>Whether requests came compressed as they say they do, message by message.</summary>
internal static class RequestCompression
{
    private static readonly object CameCompressed = new();

    /// <summary>Notes of each call whether the message at hand came compressed; needs an IHttpContextAccessor.</summary>
    public static void Observe(this GrpcServiceOptions options, IHttpContextAccessor accessor) =>
        options.CompressionProviders = ObservedCompressionProvider.All(
            () => accessor.HttpContext!.Items[CameCompressed] = true);

    /// <summary>Refuses the message that was read last if it did not come as it should; asked once for each.</summary>
    public static void Check(ServerCallContext context, BoolValue? expected)
    {
        var compressed = context.GetHttpContext().Items.Remove(CameCompressed);
        if (expected is not null && expected.Value != compressed)
        {
            var actual = compressed ? "compressed" : "uncompressed";
            throw new RpcException(new Status(
                StatusCode.InvalidArgument, $"expect_compressed is {expected.Value}, but the message is {actual}"));
        }
    }
}
