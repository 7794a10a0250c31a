using Grpc.Core;

namespace Samehost.Interop.Client.Cases;

/// <summary>Tells a call that a server ended at its deadline from one that was cancelled.</summary>
internal static class CallDeadline
{
    /// <summary>HTTP/2's error code CANCEL (RFC 9113, section 7).</summary>
    private const long Cancel = 8;

    /// <summary>
    /// grpc-dotnet sends what is left of the deadline in whole milliseconds, rounded down, so a server may be first by as
    /// much (grpc/grpc-dotnet GrpcProtocolHelpers.cs).
    /// </summary>
    private static readonly TimeSpan Rounding = TimeSpan.FromMilliseconds(1);

    /// <summary>Makes a call that its caller does not cancel, and throws DEADLINE_EXCEEDED where that is why it ended.</summary>
    /// <remarks>
    /// At the deadline a server may reset the stream, without a status, and before the client's own timer goes off;
    /// grpc-dotnet says CANCELLED then.
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
