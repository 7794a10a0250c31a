using System.Diagnostics;
using System.Net.Sockets;

namespace Samehost;

/// <summary>
/// Dials a server's socket: the <see cref="SocketsHttpHandler.ConnectCallback"/> of a handler for gRPC.
/// </summary>
/// <remarks>
/// With a callback of its own, a channel of grpc-dotnet has no connectivity state and knows no <em>wait for ready</em>
/// (learn.microsoft.com, "Transient fault handling with gRPC retries": wait for ready): a call fails at once where no
/// server is there yet, with "Cannot assign requested address (localhost:80)", which names neither the socket nor the
/// reason. So waiting, and an error that says both, are done here. A call waits no longer than its deadline.
/// </remarks>
internal sealed class SocketDialer
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(500);

    private readonly UnixSocketAddress _address;
    private readonly TimeSpan _wait;

    /// <summary>Prepares to dial; see <see cref="SocketChannel.ForAddress"/>.</summary>
    public SocketDialer(UnixSocketAddress address, TimeSpan wait)
    {
        ArgumentNullException.ThrowIfNull(address);
        _address = address;
        _wait = wait == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : wait;
        ArgumentOutOfRangeException.ThrowIfLessThan(_wait, TimeSpan.Zero, nameof(wait));
    }

    /// <summary>Connects to the socket; of the context, which has a host and a port, nothing is needed.</summary>
    /// <exception cref="SamehostException">There was no server in time, or waiting would not help.</exception>
    public async ValueTask<Stream> ConnectAsync(
        SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var waited = Stopwatch.StartNew();
        for (var pause = FirstPause; ; pause = pause < LongestPause ? 2 * pause : LongestPause)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(_address.Path), cancellationToken)
                    .ConfigureAwait(false);
                return new SocketStream(socket);
            }
            catch (SocketException error)
            {
                socket.Dispose();
                var reason = SocketDiagnosis.WhyUnreachable(_address);
                if (waited.Elapsed + pause > _wait
                    || reason?.Error is SamehostError.NotASocket or SamehostError.AccessDenied)
                {
                    throw reason ?? SamehostException.CannotConnect(
                        SamehostError.System, _address, $"{Errno.Describe(error)}; try again", error);
                }
            }
            catch
            {
                socket.Dispose();
                throw;
            }

            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
        }
    }
}
