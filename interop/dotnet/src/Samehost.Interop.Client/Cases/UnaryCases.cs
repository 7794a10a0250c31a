using System.Globalization;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>Cases with one request and one response.</summary>
internal static class UnaryCases
{
    public static async Task EmptyUnaryAsync(Peer peer)
    {
        var response = await peer.Stub.EmptyCallAsync(new Empty(), deadline: Peer.Deadline);
        Checks.Equal("size of the response in bytes", 0, response.CalculateSize());
    }

    public static async Task LargeUnaryAsync(Peer peer) =>
        Checks.Large(await peer.Stub.UnaryCallAsync(Requests.Large(), deadline: Peer.Deadline));

    /// <remarks>
    /// grpc-dotnet cannot mark a request as cacheable, so it sends POSTs, which no proxy caches. The responses are
    /// equal because the server gives equal responses to equal requests.
    /// </remarks>
    public static async Task CacheableUnaryAsync(Peer peer)
    {
        var now = DateTime.UtcNow.Ticks.ToString(CultureInfo.InvariantCulture);
        var request = new SimpleRequest { Payload = new Payload { Body = ByteString.CopyFromUtf8(now) } };
        // Some proxies do not cache responses for clients on their own host.
        Metadata metadata = new() { { "x-user-ip", "1.2.3.4" } };
        var first = await peer.Stub.CacheableUnaryCallAsync(request, metadata, Peer.Deadline);
        var second = await peer.Stub.CacheableUnaryCallAsync(request, metadata, Peer.Deadline);
        Checks.Equal("payload of the second response", first.Payload, second.Payload);
    }
}
