using System.Diagnostics;
using System.Net.Sockets;

namespace Samehost;

/// <summary>
/// Connects to a socket and waits for its server: the <see cref="SocketsHttpHandler.ConnectCallback"/> of a gRPC
/// channel.
/// </summary>
/// <remarks>
/// With a connect callback, a channel of grpc-dotnet has no connectivity state and does not support <em>wait for
/// ready</em> (learn.microsoft.com, "Transient fault handling with gRPC retries": wait for ready). A call fails at once
/// if no server runs yet, and its error, "Cannot assign requested address (localhost:80)", names neither the socket nor
/// the cause. This class waits, and reports both. A call waits no longer than its deadline.
/// </remarks>
internal sealed class SocketDialer
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(500);

    private readonly UnixSocketAddress _address;
    private readonly TimeSpan _wait;

    /// <summary>Creates a dialer. <see cref="SocketChannel.ForAddress"/> describes the parameters.</summary>
    public SocketDialer(UnixSocketAddress address, TimeSpan wait)
    {
        ArgumentNullException.ThrowIfNull(address);
        _address = address;
        _wait = wait == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : wait;
        ArgumentOutOfRangeException.ThrowIfLessThan(_wait, TimeSpan.Zero, nameof(wait));
    }

    /// <summary>Connects to the socket. Ignores the context, which has a host and a port.</summary>
    /// <exception cref="SamehostException">No server listened in time, or waiting would not help.</exception>
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
