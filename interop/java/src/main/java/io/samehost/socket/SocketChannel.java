package io.samehost.socket;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.ChannelOption;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Gives channels to a server on a Unix domain socket; each is an ordinary one of grpc-java. */
public final class SocketChannel {

  /** Dialling a socket costs microseconds; grpc-java's own pauses are 1 s to 120 s. */
  private static final Duration RECONNECT = Duration.ofMillis(100);

  /**
   * How much is kept to send a call again when the server says that it never began it (gRFC A6).
   * Beyond the 1 MiB of a call and 16 MiB of a channel that grpc-java has, calls fail with
   * UNAVAILABLE when a server moves its clients off their connections.
   */
  private static final long RETRY_BYTES_OF_CALL = 8 * 1024 * 1024;

  private static final long RETRY_BYTES_OF_CHANNEL = 1024 * 1024 * 1024;

  private SocketChannel() {}

  /** Opens a channel; nothing is dialled before the first call. */
  public static ManagedChannel open(SocketPath socket) {
    ManagedChannel channel = builder(socket).build();
    reconnectQuickly(channel);
    return channel;
  }

  /** Opens a channel and waits until a server is there; fails at once where waiting can't help. */
  public static ManagedChannel open(SocketPath socket, Duration wait)
      throws SamehostException, InterruptedException {
    Diagnosis.refuseWhatWaitingCannotCure(socket);
    ManagedChannel channel = open(socket);
    if (!isReady(channel, wait)) {
      channel.shutdownNow();
      throw Diagnosis.notReady(socket, wait);
    }
    return channel;
  }

  /** What a channel over a socket needs, for those who have more to set. */
  public static NettyChannelBuilder builder(SocketPath socket) {
    return NettyChannelBuilder.forAddress(socket.address())
        .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
        .eventLoopGroup(EventLoops.SHARED)
        .usePlaintext()
        .intercept(new BrokenConnections())
        // Otherwise it is the path, which some servers refuse (grpc/grpc 34305, hyperium/h2 442).
        .overrideAuthority("localhost")
        // A fixed window, as the automatic one sends pings: see SocketServer.
        .flowControlWindow(NettyChannelBuilder.DEFAULT_FLOW_CONTROL_WINDOW)
        // Otherwise Netty closes at the first write that fails, as one does when the server has
        // just closed, and drops the responses that are there and were not read yet: with
        // connections of 0.1 s and 1000 calls of 270 KB at once, 7 of 20 rounds lost some, then 0
        // of 50.
        .withOption(ChannelOption.AUTO_CLOSE, false)
        .perRpcBufferLimit(RETRY_BYTES_OF_CALL)
        .retryBufferSize(RETRY_BYTES_OF_CHANNEL);
  }

  /**
   * grpc-java has no public setting for its pauses between attempts, but lets one be cut short; and
   * it stays in TRANSIENT_FAILURE until an attempt succeeds, so that is done again and again.
   */
  private static void reconnectQuickly(ManagedChannel channel) {
    if (channel.isShutdown()) {
      return;
    }
    ConnectivityState state = channel.getState(false);
    if (state != ConnectivityState.TRANSIENT_FAILURE) {
      channel.notifyWhenStateChanged(state, () -> reconnectQuickly(channel));
      return;
    }
    EventLoops.SHARED.schedule(
        () -> {
          channel.resetConnectBackoff();
          reconnectQuickly(channel);
        },
        RECONNECT.toMillis(),
        TimeUnit.MILLISECONDS);
  }

  private static boolean isReady(ManagedChannel channel, Duration wait)
      throws InterruptedException {
    long deadline = System.nanoTime() + wait.toNanos();
    ConnectivityState state = channel.getState(true);
    while (state != ConnectivityState.READY) {
      CountDownLatch changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      if (!changed.await(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
        return false;
      }
      state = channel.getState(true);
    }
    return true;
  }
}
