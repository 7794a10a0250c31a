using Microsoft.Extensions.Hosting;

namespace Samehost.AspNetCore;

/// <summary>Publishes the sockets when the host starts, and removes them when it stops.</summary>
internal sealed class SocketListenerService(
    IEnumerable<SocketListener> listeners, ConnectionDrain drain, IHostApplicationLifetime host)
    : BackgroundService, IHostedLifecycleService
{
    private readonly TaskCompletionSource _published = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Claims the paths, before Kestrel binds.</summary>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            await listener.ClaimAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Publishes the sockets, after Kestrel has started.</summary>
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            listener.Publish();
        }

        _published.SetResult();
        return Task.CompletedTask;
    }

    /// <summary>Removes the sockets and moves the clients, before Kestrel stops.</summary>
    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in listeners)
        {
            listener.Withdraw();
        }

        return drain.RunAsync(cancellationToken);
    }

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Waits for successors and watches the sockets, while the host runs.</summary>
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
            // The host is stopping.
        }
    }

    private async Task StopWhenTakenOverAsync(SocketListener listener, CancellationToken cancellationToken)
    {
        if (await listener.HandOverAsync(cancellationToken).ConfigureAwait(false))
        {
            host.StopApplication();
        }
    }
}
