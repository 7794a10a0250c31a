using Grpc.Core;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases about metadata in headers and trailers.</summary>
internal static class MetadataCases
{
    private static readonly Metadata.Entry EchoInitial =
        new("x-grpc-test-echo-initial", "test_initial_metadata_value");

    private static readonly Metadata.Entry EchoTrailing =
        new("x-grpc-test-echo-trailing-bin", [0xab, 0xab, 0xab]);

    public static async Task CustomMetadataAsync(Peer peer)
    {
        Metadata metadata = [EchoInitial, EchoTrailing];

        using var unary = peer.Stub.UnaryCallAsync(Requests.Large(), metadata, Peer.Deadline);
        Checks.Large(await unary);
        CheckEchoes(await unary.ResponseHeadersAsync, unary.GetTrailers());

        using var duplex = peer.Stub.FullDuplexCall(metadata, Peer.Deadline);
        await duplex.RequestStream.WriteUnlessEndedAsync(
            Requests.OutputWithPayload(Requests.LargeRequestBytes, Requests.LargeResponseBytes));
        await duplex.RequestStream.CompleteAsync();
        await Checks.NextAsync(Requests.LargeResponseBytes, duplex.ResponseStream);
        await Checks.EndAsync(duplex.ResponseStream);
        CheckEchoes(await duplex.ResponseHeadersAsync, duplex.GetTrailers());
    }

    private static void CheckEchoes(Metadata initial, Metadata trailing)
    {
        Checks.Metadatum("initial metadata", EchoInitial, initial);
        Checks.Metadatum("trailing metadata", EchoTrailing, trailing);
    }
}
