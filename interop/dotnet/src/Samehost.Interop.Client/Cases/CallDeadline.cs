using Grpc.Core;

namespace Samehost.Interop.Client.Cases;

/// <summary>Distinguishes a call that the server ended at its deadline from a canceled call.</summary>
internal static class CallDeadline
{
    /// <summary>HTTP/2's error code CANCEL (RFC 9113, section 7).</summary>
    private const long Cancel = 8;

    /// <summary>
    /// grpc-dotnet sends the remaining time in whole milliseconds, rounded down. The server may therefore end the call
    /// up to 1 ms before the deadline (grpc/grpc-dotnet GrpcProtocolHelpers.cs).
    /// </summary>
    private static readonly TimeSpan Rounding = TimeSpan.FromMilliseconds(1);

    /// <summary>
    /// Makes a call that the caller does not cancel. Throws DEADLINE_EXCEEDED if the deadline ended it.
    /// </summary>
    /// <remarks>
    /// At the deadline, a server may reset the stream without a status, before the client's timer fires. grpc-dotnet
    /// then reports CANCELLED.
    /// </remarks>
    public static async Task ObserveAsync(DateTime deadline, Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (RpcException error) when (error.StatusCode == StatusCode.Cancelled
            && error.Status.DebugException?.GetBaseException() is HttpProtocolException { ErrorCode: Cancel }
            && DateTime.UtcNow >= deadline - Rounding)
        {
            throw new RpcException(new Status(StatusCode.DeadlineExceeded, error.Status.Detail, error));
        }
    }
}
