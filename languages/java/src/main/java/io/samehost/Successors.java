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

/** Listens for successors, and answers one at a time until one has published. */
final class Successors implements AutoCloseable {

  /** How long a successor may be silent without the lock, for which it tries for 2 s. */
  private static final Duration SILENCE = Duration.ofSeconds(5);

  /** How often to try for the lock when a successor has failed. */
  private static final Duration PACE = Duration.ofMillis(50);

  /** 2 s: a third server may hold the lock for a moment, while it finds the path live. */
  private static final int TRIES_BEFORE_WARNING = 40;

  private static final Logger LOG = Logger.getLogger(Successors.class.getName());

  private final SocketPath socket;
  private final BooleanSupplier release;
  private final BooleanSupplier retake;
  private final Runnable handedOver;
  private final Channel listener;

  /** Whoever comes after the end is hung up on. */
  private final ChannelGroup connections =
      new DefaultChannelGroup(EventLoops.SHARED.next(), /* stayClosed= */ true);

  /** Not an event loop: to take the lock again may take a while. */
  private final ExecutorService turns =
      Executors.newSingleThreadExecutor(new DefaultThreadFactory("takeover", /* daemon= */ true));

  /**
   * Binds and listens; nobody is answered yet.
   *
   * @param socket what is handed over, for the log
   * @param bound a private name that is renamed to {@link Takeover#controlPath}; a random one, as
   *     Netty removes what has it when this is closed
   * @param release releases the lock; false where this server goes
   * @param retake tries to take the lock again, when a successor has given up; true where it is
   *     had, or needed no more
   * @param handedOver is run when a successor has published
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

  /** From now on successors are answered. */
  void answer() {
    listener.config().setAutoRead(true);
  }

  /** Listens no more, and hangs up on those that wait. */
  @Override
  public void close() {
    listener.close();
    connections.close();
    turns.shutdown();
  }

  private void handOver(ControlConnection successor) {
    try (successor) {
      if (!release.getAsBoolean()) {
        return;
      }
      successor.say(ControlConnection.RELEASED);
      JsonElement heard;
      while ((heard = successor.hear(SILENCE)) == null) { // as it may take long to start
        if (retake.getAsBoolean()) {
          LOG.warning(
              "a successor that wanted to take %s over said nothing more".formatted(socket.path()));
          return;
        }
      }
      if (heard.equals(ControlConnection.PUBLISHED)) {
        handedOver.run();
      } else {
        retakeHoweverLong();
      }
    } catch (InterruptedException e) { // by nobody
      Thread.currentThread().interrupt();
    }
  }

  private void retakeHoweverLong() {
    for (int tries = 1; !retake.getAsBoolean(); tries++) {
      if (tries == TRIES_BEFORE_WARNING) {
        LOG.warning(
            "a takeover of %s failed, and another process holds its lock".formatted(socket.path()));
      }
      LockSupport.parkNanos(PACE.toNanos());
    }
  }

  private final class Queue extends ChannelInitializer<Channel> {
    @Override
    protected void initChannel(Channel channel) {
      ControlConnection successor = new ControlConnection();
      channel.pipeline().addLast(successor);
      connections.add(channel);
      try {
        turns.execute(() -> handOver(successor));
      } catch (RejectedExecutionException e) { // this server goes
        channel.close();
      }
    }
  }
}
