using Microsoft.Extensions.Hosting;

namespace Samehost.AspNetCore;

/// <summary>Keeps the files of all sockets in step with the host around them.</summary>
internal sealed class SocketListenerService(
    IEnumerable<SocketListener> listeners, ConnectionDrain drain, IHostApplicationLifetime host)
    : BackgroundService, IHostedLifecycleService
{
    private readonly TaskCompletionSource _published = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Before Kestrel binds.</summary>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            await listener.ClaimAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>When Kestrel has started.</summary>
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            listener.Publish();
        }

        _published.SetResult();
        return Task.CompletedTask;
    }

    /// <summary>Before Kestrel stops: no client may find a server that goes, and those that have found it move.</summary>
    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            listener.Withdraw();
        }

        return drain.RunAsync(cancellationToken);
    }

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>While the server serves.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, host.ApplicationStopping);
        try
        {
            await _published.Task.WaitAsync(stopping.Token).ConfigureAwait(false);
            await Task.WhenAll(listeners.SelectMany(listener => new[]
            {
                StopWhenTakenOverAsync(listener, stopping.Token), listener.WatchAsync(stopping.Token),
            })).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The server goes by itself.
        }
    }

    /// <summary>A successor that has a path is as good a reason to stop as SIGTERM is.</summary>
    private async Task StopWhenTakenOverAsync(SocketListener listener, CancellationToken cancellationToken)
    {
        if (await listener.HandOverAsync(cancellationToken).ConfigureAwait(false))
        {
            host.StopApplication();
        }
    }
}
