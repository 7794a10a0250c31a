using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases about the compression of each message.</summary>
internal static class CompressionCases
{
    /// <summary>
    /// Makes grpc-dotnet compress the messages of a call, except those with NoCompress in their WriteOptions. This
    /// entry is not sent (learn.microsoft.com, "gRPC for .NET configuration", and grpc/grpc-dotnet
    /// GrpcProtocolConstants.cs).
    /// </summary>
    private static Metadata Gzip => new() { { "grpc-internal-encoding-request", "gzip" } };

    public static async Task ClientCompressedUnaryAsync(Peer peer)
    {
        await Checks.StatusAsync(
            StatusCode.InvalidArgument,
            () => peer.Stub.UnaryCallAsync(Requests.LargeExpecting(compressed: true), deadline: Peer.Deadline).ResponseAsync);
        Checks.Large(await peer.Stub.UnaryCallAsync(Requests.LargeExpecting(compressed: true), Gzip, Peer.Deadline));
        Checks.Large(await peer.Stub.UnaryCallAsync(Requests.LargeExpecting(compressed: false), deadline: Peer.Deadline));
    }

    public static async Task ServerCompressedUnaryAsync(Peer peer)
    {
        foreach (var compressed in new[] { true, false })
        {
            var response = await peer.Stub.UnaryCallAsync(Requests.LargeResponse(compressed), deadline: Peer.Deadline);
            Checks.Equal("compressed flag of the response", compressed, peer.TakeCompressed());
            Checks.Large(response);
        }
    }

    public static async Task ClientCompressedStreamingAsync(Peer peer)
    {
        await Checks.StatusAsync(StatusCode.InvalidArgument, async () =>
        {
            using var probe = peer.Stub.StreamingInputCall(deadline: Peer.Deadline);
            await probe.RequestStream.WriteUnlessEndedAsync(
                Requests.InputExpecting(Requests.CompressedRequestBytes[0], compressed: true));
            await probe.RequestStream.CompleteAsync();
            await probe;
        });

        using var call = peer.Stub.StreamingInputCall(Gzip, Peer.Deadline);
        await call.RequestStream.WriteUnlessEndedAsync(
            Requests.InputExpecting(Requests.CompressedRequestBytes[0], compressed: true));
        call.RequestStream.WriteOptions = new WriteOptions(WriteFlags.NoCompress);
        await call.RequestStream.WriteUnlessEndedAsync(
            Requests.InputExpecting(Requests.CompressedRequestBytes[1], compressed: false));
        await call.RequestStream.CompleteAsync();
        Checks.Equal(
            "aggregated_payload_size", Requests.CompressedRequestBytes.Sum(), (await call).AggregatedPayloadSize);
    }

    public static async Task ServerCompressedStreamingAsync(Peer peer)
    {
        using var call = peer.Stub.StreamingOutputCall(Requests.CompressedOutput(), deadline: Peer.Deadline);
        List<StreamingOutputCallResponse> received = [];
        List<bool> compressed = [];
        await foreach (var response in call.ResponseStream.ReadAllAsync())
        {
            received.Add(response);
            compressed.Add(peer.TakeCompressed());
        }

        Checks.Outputs([.. Requests.CompressedResponses.Select(each => each.Size)], received);
        Checks.EqualAll(
            "compressed flags of the responses",
            [.. Requests.CompressedResponses.Select(each => each.Compressed)],
            compressed);
    }
}
