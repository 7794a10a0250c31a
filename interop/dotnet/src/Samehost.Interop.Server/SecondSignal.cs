using System.Runtime.InteropServices;

namespace Samehost.Interop.Server;

/// <summary>
/// Ends the program at once when a second SIGTERM or SIGINT comes, or the first one while it goes for its successor. The
/// host stops gracefully at the first one, and takes no notice of those that follow.
/// </summary>
internal sealed class SecondSignal : IDisposable
{
    private readonly SocketFile _file;
    private readonly PosixSignalRegistration[] _registrations;
    private int _signals;

    public SecondSignal(SocketFile file)
    {
        _file = file;
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, Hear),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, Hear),
        ];
    }

    public void Dispose()
    {
        foreach (var registration in _registrations)
        {
            registration.Dispose();
        }
    }

    private void Hear(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _signals) > 1 || _file.IsHandedOver)
        {
            _file.Withdraw();
            Environment.Exit(0);
        }
    }
}
