using System.Runtime.InteropServices;
using Microsoft.Extensions.Options;
using Samehost.AspNetCore;

namespace Samehost.Interop.Server;

/// <summary>
/// Stops the host at the first SIGTERM or SIGINT, and ends the program at the next one, or when the stop takes too long.
/// </summary>
/// <remarks>
/// The usual lifetime takes no notice of the second signal, and leaves it to each hosted service how long a stop takes.
/// </remarks>
internal sealed class SignalLifetime(
    IHostApplicationLifetime host, SocketListener listener, IOptions<HostOptions> options)
    : IHostLifetime, IDisposable
{
    /// <summary>Kestrel waits for a second for connections that it has cut; PROTOCOL.md gives two in all.</summary>
    private static readonly TimeSpan BeyondGrace = TimeSpan.FromSeconds(1.5);

    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _signals;

    /// <summary>Listens to signals, before anything starts.</summary>
    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, Hear));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, Hear));
        // Its own, as handlers may block all of the pool's.
        new Thread(EndInTime) { IsBackground = true, Name = "samehost-watchdog" }.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _registrations.ForEach(registration => registration.Dispose());

    private void Hear(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _signals) > 1 || listener.TakenOver.IsCancellationRequested)
        {
            End();
        }

        host.StopApplication();
    }

    /// <summary>Ends the program when it outlasts the beginning of its stop, by a signal or otherwise, by so much.</summary>
    private void EndInTime()
    {
        host.ApplicationStopping.WaitHandle.WaitOne();
        Thread.Sleep(options.Value.ShutdownTimeout + BeyondGrace);
        End();
    }

    private void End()
    {
        listener.Withdraw();
        Environment.Exit(Environment.ExitCode);
    }
}
