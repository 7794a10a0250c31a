using System.Runtime.InteropServices;
using Microsoft.Extensions.Options;
using Samehost.AspNetCore;

namespace Samehost.Interop.Server;

/// <summary>
/// Stops the host at the first SIGTERM or SIGINT. Exits at the second signal, or if the stop takes too long.
/// </summary>
/// <remarks>
/// The default lifetime ignores the second signal, and does not limit how long a hosted service takes to stop.
/// </remarks>
internal sealed class SignalLifetime(
    IHostApplicationLifetime host, SocketListener listener, IOptions<HostOptions> options)
    : IHostLifetime, IDisposable
{
    /// <summary>Kestrel waits 1 s for connections that it has aborted. PROTOCOL.md allows 2 s in total.</summary>
    private static readonly TimeSpan BeyondGrace = TimeSpan.FromSeconds(1.5);

    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _signals;

    /// <summary>Registers for the signals, before anything starts.</summary>
    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal));
        // A separate thread, because handlers may block all threads of the pool.
        new Thread(ExitAfterGrace) { IsBackground = true, Name = "samehost-watchdog" }.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _registrations.ForEach(registration => registration.Dispose());

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _signals) > 1 || listener.TakenOver.IsCancellationRequested)
        {
            Exit();
        }

        host.StopApplication();
    }

    /// <summary>Exits if a stop, by a signal or otherwise, takes longer than the grace period.</summary>
    private void ExitAfterGrace()
    {
        host.ApplicationStopping.WaitHandle.WaitOne();
        Thread.Sleep(options.Value.ShutdownTimeout + BeyondGrace);
        Exit();
    }

    private void Exit()
    {
        listener.Withdraw();
        Environment.Exit(Environment.ExitCode);
    }
}
