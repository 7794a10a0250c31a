using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases with calls that end with a status other than OK.</summary>
internal static class StatusCases
{
    private static readonly TimeSpan ShortDeadline = TimeSpan.FromMilliseconds(1);

    public static async Task StatusCodeAndMessageAsync(Peer peer)
    {
        await Checks.EchoedStatusAsync(Requests.Status, () => UnaryAsync(peer, Requests.Status));
        await Checks.EchoedStatusAsync(Requests.Status, async () =>
        {
            using var call = peer.Stub.FullDuplexCall(deadline: Peer.Deadline);
            await call.RequestStream.WriteUnlessEndedAsync(
                new StreamingOutputCallRequest { ResponseStatus = Requests.Status });
            await call.RequestStream.CompleteAsync();
            await Checks.EndAsync(call.ResponseStream);
        });
    }

    public static Task SpecialStatusMessageAsync(Peer peer) =>
        Checks.EchoedStatusAsync(Requests.SpecialStatus, () => UnaryAsync(peer, Requests.SpecialStatus));

    public static Task UnimplementedMethodAsync(Peer peer) => Checks.StatusAsync(
        StatusCode.Unimplemented,
        () => peer.Stub.UnimplementedCallAsync(new Empty(), deadline: Peer.Deadline).ResponseAsync);

    public static Task UnimplementedServiceAsync(Peer peer)
    {
        var stub = new UnimplementedService.UnimplementedServiceClient(peer.Channel);
        return Checks.StatusAsync(
            StatusCode.Unimplemented,
            () => stub.UnimplementedCallAsync(new Empty(), deadline: Peer.Deadline).ResponseAsync);
    }

    public static async Task CancelAfterBeginAsync(Peer peer)
    {
        using var cancellation = new CancellationTokenSource();
        using var call = peer.Stub.StreamingInputCall(
            deadline: Peer.Deadline, cancellationToken: cancellation.Token);
        await cancellation.CancelAsync();
        await Checks.StatusAsync(StatusCode.Cancelled, () => call.ResponseAsync);
    }

    public static async Task CancelAfterFirstResponseAsync(Peer peer)
    {
        using var cancellation = new CancellationTokenSource();
        using var call = peer.Stub.FullDuplexCall(deadline: Peer.Deadline, cancellationToken: cancellation.Token);
        await call.RequestStream.WriteUnlessEndedAsync(
            Requests.OutputWithPayload(Requests.RequestBytes[0], Requests.ResponseBytes[0]));
        await Checks.NextAsync(Requests.ResponseBytes[0], call.ResponseStream);
        await cancellation.CancelAsync();
        await Checks.StatusAsync(StatusCode.Cancelled, () => Checks.EndAsync(call.ResponseStream));
    }

    public static Task TimeoutOnSleepingServerAsync(Peer peer)
    {
        var deadline = DateTime.UtcNow + ShortDeadline;
        return Checks.StatusAsync(StatusCode.DeadlineExceeded, () => CallDeadline.ObserveAsync(deadline, async () =>
        {
            using var call = peer.Stub.FullDuplexCall(deadline: deadline);
            // The request asks for no response, so the server sends none.
            await call.RequestStream.WriteUnlessEndedAsync(
                new StreamingOutputCallRequest { Payload = Requests.Zeros(Requests.RequestBytes[0]) });
            await Checks.EndAsync(call.ResponseStream);
        }));
    }

    private static Task<SimpleResponse> UnaryAsync(Peer peer, EchoStatus status) => peer.Stub.UnaryCallAsync(
        new SimpleRequest { ResponseStatus = status }, deadline: Peer.Deadline).ResponseAsync;
}
