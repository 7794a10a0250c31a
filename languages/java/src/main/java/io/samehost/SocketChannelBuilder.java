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
 * Builds channels to a server on a Unix domain socket. They are ordinary channels of grpc-java that
 * reconnect within 100 ms.
 *
 * <p>A channel connects with its first call. Without {@code withWaitForReady}, a call fails at once
 * if no server listens; {@link Diagnosis} finds the reason.
 */
public final class SocketChannelBuilder extends ForwardingChannelBuilder2<SocketChannelBuilder> {

  /** Connecting takes microseconds. The pauses of grpc-java itself are 1 s to 120 s. */
  private static final Duration RECONNECT = Duration.ofMillis(100);

  /**
   * How often {@link #connect} asks for the state. A channel that connects and loses the connection
   * between two looks is idle in both, and no change is reported.
   */
  private static final Duration POLL = Duration.ofMillis(100);

  /**
   * The memory that keeps calls, to send them again when the server did not start them (gRFC A6).
   * With the defaults of grpc-java, 1 MiB per call and 16 MiB per channel, larger calls fail with
   * UNAVAILABLE when a server moves its clients to new connections.
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
            // The default is the path, which some servers refuse (grpc/grpc 34305, hyperium/h2
            // 442).
            .overrideAuthority("localhost")
            // A fixed window, because the automatic one sends pings: see SocketServer.
            .flowControlWindow(NettyChannelBuilder.DEFAULT_FLOW_CONTROL_WINDOW)
            // gRPC sets this option, which Unix sockets do not have, and Netty would warn.
            .withOption(ChannelOption.SO_KEEPALIVE, null)
            // By default, Netty closes the connection when a write fails, and drops the responses
            // that it has not read yet. A write fails when the server has just closed. With
            // connections of 0.1 s and 1000 calls of 270 KB at once, 7 of 20 rounds lost responses;
            // with this setting, 0 of 50.
            .withOption(ChannelOption.AUTO_CLOSE, false)
            .perRpcBufferLimit(RETRY_BYTES_OF_CALL)
            .retryBufferSize(RETRY_BYTES_OF_CHANNEL);
  }

  /** Returns a builder of channels to the server on this path. */
  public static SocketChannelBuilder forPath(SocketPath socket) {
    return new SocketChannelBuilder(socket);
  }

  /** Sets options that only the builder for Netty has, such as TLS. */
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
   * Builds a channel and waits until it is connected. Fails at once if waiting cannot help.
   *
   * @param wait how long to wait for a server
   * @throws NoServerException if no server listens in time
   * @throws NotSocketException if the path names another kind of file
   * @throws NotGrpcException if the server does not speak HTTP/2
   * @throws SamehostException if this process may not connect, or the server is not ready in time
   */
  public ManagedChannel connect(Duration wait) throws SamehostException, InterruptedException {
    Diagnosis.checkThatWaitingHelps(socket);
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
   * Cuts short each pause between attempts, because grpc-java has no public setting for the pauses.
   * A channel stays in TRANSIENT_FAILURE until an attempt succeeds, so this repeats.
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
      long left = deadline - System.nanoTime();
      if (left <= 0) {
        return false;
      }
      CountDownLatch changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      changed.await(Math.min(left, POLL.toNanos()), TimeUnit.NANOSECONDS);
      state = channel.getState(true);
    }
    return true;
  }
}
