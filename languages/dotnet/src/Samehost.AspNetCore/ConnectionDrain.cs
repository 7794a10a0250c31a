using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Samehost.AspNetCore;

/// <summary>Moves clients off their connections before Kestrel stops, without refusing a call that was already sent.</summary>
/// <remarks>
/// When Kestrel stops, it closes each connection in the instant in which no call is in progress on it, and a call that is
/// on its way then is refused (dotnet/aspnetcore Http2Connection.cs, UpdateConnectionState). A connection that is asked to
/// close while a call is in progress gets a GOAWAY first that refuses nothing. So the next call on each connection asks, and
/// is held until the client has heard.
/// </remarks>
internal sealed class ConnectionDrain
{
    /// <summary>How long clients may go on to call on a connection; one that is silent for so long is just closed.</summary>
    private static readonly TimeSpan MaxDrain = TimeSpan.FromSeconds(1);

    /// <summary>How long a call is held; a client hears of the GOAWAY within a millisecond, unless the machine is busy.</summary>
    private static readonly TimeSpan Hold = TimeSpan.FromMilliseconds(100);

    private readonly TaskCompletionSource _noConnection = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _connections;
    private volatile bool _draining;

    /// <summary>Counts a connection for as long as it lasts.</summary>
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

    /// <summary>Waits until clients have moved.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _draining = true;
        if (Volatile.Read(ref _connections) > 0)
        {
            await Task.WhenAny(_noConnection.Task, Task.Delay(MaxDrain, cancellationToken)).ConfigureAwait(false);
        }
    }

    /// <summary>Answers a request, and asks its client to move while the server drains.</summary>
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
