package io.samehost;

import io.grpc.ConnectivityState;
import io.grpc.ForwardingChannelBuilder2;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.ChannelOption;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Builds channels to a server on a Unix domain socket: ordinary ones of grpc-java, which reconnect
 * within 100 ms.
 *
 * <p>Nothing is dialled before the first call. Without {@code withWaitForReady} a call fails at
 * once where there is no server; {@link Diagnosis} says why.
 */
public final class SocketChannelBuilder extends ForwardingChannelBuilder2<SocketChannelBuilder> {

  /** Dialling a socket costs microseconds; grpc-java's own pauses are 1 s to 120 s. */
  private static final Duration RECONNECT = Duration.ofMillis(100);

  /**
   * How much is kept to send a call again when the server says that it never began it (gRFC A6).
   * Beyond the 1 MiB of a call and 16 MiB of a channel that grpc-java has, calls fail with
   * UNAVAILABLE when a server moves its clients off their connections.
   */
  private static final long RETRY_BYTES_OF_CALL = 8 * 1024 * 1024;

  private static final long RETRY_BYTES_OF_CHANNEL = 1024 * 1024 * 1024;

  private final SocketPath socket;
  private final NettyChannelBuilder netty;

  private SocketChannelBuilder(SocketPath socket) {
    this.socket = socket;
    this.netty =
        NettyChannelBuilder.forAddress(socket.address())
            .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
            .eventLoopGroup(EventLoops.SHARED)
            .usePlaintext()
            .intercept(new BrokenConnections())
            // Otherwise it is the path, which some servers refuse (grpc/grpc 34305, hyperium/h2
            // 442).
            .overrideAuthority("localhost")
            // A fixed window, as the automatic one sends pings: see SocketServer.
            .flowControlWindow(NettyChannelBuilder.DEFAULT_FLOW_CONTROL_WINDOW)
            // gRPC sets it, and Netty warns on each connection that such a socket has none.
            .withOption(ChannelOption.SO_KEEPALIVE, null)
            // Otherwise Netty closes at the first write that fails, as one does when the server has
            // just closed, and drops the responses that are there and were not read yet: with
            // connections of 0.1 s and 1000 calls of 270 KB at once, 7 of 20 rounds lost some, then
            // 0 of 50.
            .withOption(ChannelOption.AUTO_CLOSE, false)
            .perRpcBufferLimit(RETRY_BYTES_OF_CALL)
            .retryBufferSize(RETRY_BYTES_OF_CHANNEL);
  }

  /** Returns a builder of channels to the server on this path. */
  public static SocketChannelBuilder forPath(SocketPath socket) {
    return new SocketChannelBuilder(socket);
  }

  /** Sets what only the builder for Netty has, such as TLS. */
  public SocketChannelBuilder configure(Consumer<? super NettyChannelBuilder> setting) {
    setting.accept(netty);
    return this;
  }

  @Override
  public ManagedChannel build() {
    ManagedChannel channel = netty.build();
    reconnectQuickly(channel);
    return channel;
  }

  /**
   * Builds a channel and waits until a server is there; fails at once where waiting can't help.
   *
   * @throws NoServerException if there is none in time
   * @throws NotSocketException if another kind of file is at the path
   * @throws NotGrpcException if whoever listens does not speak HTTP/2
   * @throws SamehostException if this process may not connect, or the server is not ready in time
   */
  public ManagedChannel connect(Duration wait) throws SamehostException, InterruptedException {
    Diagnosis.refuseWhatWaitingCannotCure(socket);
    ManagedChannel channel = build();
    boolean ready = false;
    try {
      ready = isReady(channel, wait);
    } finally {
      if (!ready) {
        channel.shutdownNow();
      }
    }
    if (!ready) {
      throw Diagnosis.notReady(socket, wait);
    }
    return channel;
  }

  @Override
  protected NettyChannelBuilder delegate() {
    return netty;
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
