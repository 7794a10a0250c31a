package io.samehost;

import com.google.gson.JsonElement;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.logging.Logger;

/** Accepts successors, and serves one at a time until one has published its socket. */
final class Successors implements AutoCloseable {

  /** How long a successor may be silent without the lock. It tries to get the lock for 2 s. */
  private static final Duration SILENCE_TIMEOUT = Duration.ofSeconds(5);

  /** How often to try to take the lock after a successor failed. */
  private static final Duration RETRY_INTERVAL = Duration.ofMillis(50);

  /** 2 s, because a third server may hold the lock briefly, until it finds the path in use. */
  private static final int TRIES_BEFORE_WARNING = 40;

  private static final Logger LOG = Logger.getLogger(Successors.class.getName());

  private final SocketPath socket;
  private final BooleanSupplier release;
  private final BooleanSupplier retake;
  private final Runnable handedOver;
  private final Channel listener;

  /** Closes connections that arrive after {@link #close}. */
  private final ChannelGroup connections =
      new DefaultChannelGroup(EventLoops.SHARED.next(), /* stayClosed= */ true);

  /** Not an event loop, because waiting for the lock blocks. */
  private final ExecutorService handovers =
      Executors.newSingleThreadExecutor(new DefaultThreadFactory("takeover", /* daemon= */ true));

  /**
   * Binds and listens, but accepts no connection yet.
   *
   * @param socket the path of the server, for the log
   * @param bound a private path that is renamed to {@link Takeover#controlPath}; its name is random
   *     because Netty removes the file with this name at the end
   * @param release releases the lock; false if this server stops
   * @param retake tries to take the lock again after a successor failed; true if it succeeded, or
   *     if the lock is no longer needed
   * @param handedOver runs when a successor has published its socket
   */
  Successors(
      SocketPath socket,
      Path bound,
      BooleanSupplier release,
      BooleanSupplier retake,
      Runnable handedOver)
      throws IOException {
    this.socket = socket;
    this.release = release;
    this.retake = retake;
    this.handedOver = handedOver;
    ChannelFuture listening =
        new ServerBootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollServerDomainSocketChannel.class)
            .option(ChannelOption.AUTO_READ, false) // until the path is published
            .childHandler(new Queue())
            .bind(new DomainSocketAddress(bound.toString()))
            .awaitUninterruptibly();
    if (!listening.isSuccess()) {
      throw listening.cause() instanceof IOException e ? e : new IOException(listening.cause());
    }
    listener = listening.channel();
  }

  /** Starts to accept connections. */
  void accept() {
    listener.config().setAutoRead(true);
  }

  /** Stops listening, and closes the connections of waiting successors. */
  @Override
  public void close() {
    listener.close();
    connections.close();
    handovers.shutdown();
  }

  private void handOver(ControlConnection successor) {
    try (successor) {
      if (!release.getAsBoolean()) {
        return;
      }
      successor.send(ControlConnection.RELEASED);
      JsonElement received;
      while ((received = successor.receive(SILENCE_TIMEOUT)) == null) { // the start may take long
        if (retake.getAsBoolean()) {
          LOG.warning(
              "the takeover of %s failed: the successor sent nothing".formatted(socket.path()));
          return;
        }
      }
      if (received.equals(ControlConnection.PUBLISHED)) {
        handedOver.run();
      } else {
        retakeUntilItSucceeds();
      }
    } catch (InterruptedException e) { // never happens
      Thread.currentThread().interrupt();
    }
  }

  private void retakeUntilItSucceeds() {
    for (int tries = 1; !retake.getAsBoolean(); tries++) {
      if (tries == TRIES_BEFORE_WARNING) {
        LOG.warning(
            "the takeover of %s failed, and another process holds its lock"
                .formatted(socket.path()));
      }
      LockSupport.parkNanos(RETRY_INTERVAL.toNanos());
    }
  }

  private final class Queue extends ChannelInitializer<Channel> {
    @Override
    protected void initChannel(Channel channel) {
      ControlConnection successor = new ControlConnection();
      channel.pipeline().addLast(successor);
      connections.add(channel);
      try {
        handovers.execute(() -> handOver(successor));
      } catch (RejectedExecutionException e) { // this server stops
        channel.close();
      }
    }
  }
}
