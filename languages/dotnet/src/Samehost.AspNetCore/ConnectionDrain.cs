using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Samehost.AspNetCore;

/// <summary>
/// Moves clients off their connections before Kestrel stops, without refusing a call that was already sent.
/// </summary>
/// <remarks>
/// When Kestrel stops, it closes a connection as soon as no call is in progress on it, and refuses a call that the
/// client has just sent (dotnet/aspnetcore Http2Connection.cs, UpdateConnectionState). If the close is requested while
/// a call is in progress, Kestrel first sends a GOAWAY that refuses no call. Therefore the next call on each connection
/// requests the close, and its response is delayed until the client has received the GOAWAY.
/// </remarks>
internal sealed class ConnectionDrain
{
    /// <summary>How long to wait for clients to move. Connections that are still idle then are closed.</summary>
    private static readonly TimeSpan MaxDrain = TimeSpan.FromSeconds(1);

    /// <summary>How long a response is delayed. The GOAWAY takes less than 1 ms unless the machine is busy.</summary>
    private static readonly TimeSpan Hold = TimeSpan.FromMilliseconds(100);

    private readonly TaskCompletionSource _noConnection = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _connections;
    private volatile bool _draining;

    /// <summary>Counts a connection while it is open.</summary>
    public ConnectionDelegate Count(ConnectionDelegate next) => async connection =>
    {
        Interlocked.Increment(ref _connections);
        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            if (Interlocked.Decrement(ref _connections) == 0 && _draining)
            {
                _noConnection.TrySetResult();
            }
        }
    };

    /// <summary>Waits until all connections are closed, for at most <see cref="MaxDrain"/>.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _draining = true;
        if (Volatile.Read(ref _connections) > 0)
        {
            await Task.WhenAny(_noConnection.Task, Task.Delay(MaxDrain, cancellationToken)).ConfigureAwait(false);
        }
    }

    /// <summary>Answers a request and, during a drain, moves its client to another connection.</summary>
    public async Task RespondAsync(HttpContext context, RequestDelegate next)
    {
        await next(context).ConfigureAwait(false);
        if (_draining)
        {
            context.Features.GetRequiredFeature<IConnectionLifetimeNotificationFeature>().RequestClose();
            await Task.Delay(Hold, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
