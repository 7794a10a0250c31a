using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases with streams of requests, of responses, or of both.</summary>
internal static class StreamingCases
{
    public static async Task ClientStreamingAsync(Peer peer)
    {
        using var call = peer.Stub.StreamingInputCall(deadline: Peer.Deadline);
        foreach (var size in Requests.RequestBytes)
        {
            await call.RequestStream.WriteUnlessEndedAsync(Requests.Input(size));
        }

        await call.RequestStream.CompleteAsync();
        Checks.Equal("aggregated_payload_size", Requests.RequestBytes.Sum(), (await call).AggregatedPayloadSize);
    }

    public static async Task ServerStreamingAsync(Peer peer)
    {
        using var call = peer.Stub.StreamingOutputCall(
            Requests.Output(Requests.ResponseBytes), deadline: Peer.Deadline);
        await OutputsAsync(call.ResponseStream);
    }

    public static async Task PingPongAsync(Peer peer)
    {
        using var call = peer.Stub.FullDuplexCall(deadline: Peer.Deadline);
        foreach (var (requestBytes, responseBytes) in Requests.RequestBytes.Zip(Requests.ResponseBytes))
        {
            await call.RequestStream.WriteUnlessEndedAsync(Requests.OutputWithPayload(requestBytes, responseBytes));
            await Checks.NextAsync(responseBytes, call.ResponseStream);
        }

        await call.RequestStream.CompleteAsync();
        await Checks.EndAsync(call.ResponseStream);
    }

    public static async Task HalfDuplexAsync(Peer peer)
    {
        using var call = peer.Stub.HalfDuplexCall(deadline: Peer.Deadline);
        foreach (var size in Requests.ResponseBytes)
        {
            await call.RequestStream.WriteUnlessEndedAsync(Requests.Output(size));
        }

        await call.RequestStream.CompleteAsync();
        await OutputsAsync(call.ResponseStream);
    }

    public static async Task EmptyStreamAsync(Peer peer)
    {
        using var call = peer.Stub.FullDuplexCall(deadline: Peer.Deadline);
        await call.RequestStream.CompleteAsync();
        await Checks.EndAsync(call.ResponseStream);
    }

    private static async Task OutputsAsync(IAsyncStreamReader<StreamingOutputCallResponse> responses)
    {
        List<StreamingOutputCallResponse> received = [];
        await foreach (var response in responses.ReadAllAsync())
        {
            received.Add(response);
        }

        Checks.Outputs(Requests.ResponseBytes, received);
    }
}
