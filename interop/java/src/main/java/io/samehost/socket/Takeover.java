package io.samehost.socket;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.handler.codec.LineBasedFrameDecoder;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under
 * Takeover.
 *
 * <p>Both talk over a socket beside the path, which is its owner's alone to dial: whoever could
 * dial it could make the server go. A line of JSON says what has happened; a connection that ends
 * says that the other one is gone.
 */
final class Takeover {

  /** How long a server may take to release its lock, which takes it less than a millisecond. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  private static final int MAX_LINE_BYTES = 4096;

  private static final String RELEASED = "released";
  private static final String PUBLISHED = "published";
  private static final String HUNG_UP = "";
  private static final String TIMED_OUT = "timed out";

  private Takeover() {}

  /** Where a server listens for its successor; null where the name would be too long. */
  static SocketPath controlPath(SocketPath socket) {
    String path = socket.path() + ".takeover";
    return path.getBytes(UTF_8).length <= SocketPath.MAX_BYTES
        ? new SocketPath(Path.of(path))
        : null;
  }

  /** The server that has the path, as its successor meets it; it has released its lock. */
  static final class Predecessor implements AutoCloseable {
    private final Connection connection;

    private Predecessor(Connection connection) {
      this.connection = connection;
    }

    /** Asks it to release its lock. */
    static Predecessor ask(SocketPath socket) throws SamehostException {
      SocketPath control = controlPath(socket);
      if (control == null) {
        throw new SamehostException(
            "%s can't be taken over: its name leaves no room for .takeover; stop its server"
                .formatted(socket.path()));
      }
      Connection connection = new Connection();
      ChannelFuture dialled =
          new Bootstrap()
              .group(EventLoops.SHARED)
              .channel(EpollDomainSocketChannel.class)
              .handler(connection)
              .connect(control.address())
              .awaitUninterruptibly();
      if (!dialled.isSuccess()) {
        Throwable cause = dialled.cause();
        throw nobodyAnswers(
            socket,
            control,
            // Netty's exception has no message there.
            cause instanceof FileNotFoundException ? "no such file" : cause.getMessage());
      }
      String event =
          connection
              .event
              .completeOnTimeout(TIMED_OUT, PATIENCE.toMillis(), TimeUnit.MILLISECONDS)
              .join();
      if (event.equals(RELEASED)) {
        return new Predecessor(connection);
      }
      connection.close();
      throw event.equals(TIMED_OUT)
          ? nobodyAnswers(socket, control, TIMED_OUT)
          : new SamehostException(
              "%s can't be taken over: its server goes, or another takes over; try again"
                  .formatted(socket.path()));
    }

    /** Says that the path is its successor's now, so that it drains and goes. */
    void tellPublished() {
      connection.say(PUBLISHED); // where that fails, it has gone already
      connection.close();
    }

    /** Hangs up; where it was not told to go, it takes its lock again and serves on. */
    @Override
    public void close() {
      connection.close();
    }

    private static SamehostException nobodyAnswers(
        SocketPath socket, SocketPath control, String reason) {
      return new SamehostException(
          "%s can't be taken over: nobody answers at %s: %s; stop its server"
              .formatted(socket.path(), control.path(), reason));
    }
  }

  /** Listens for successors, and answers one at a time until one has published. */
  static final class Successors implements AutoCloseable {
    private final BooleanSupplier release;
    private final Runnable retake;
    private final Runnable handedOver;
    private final Channel listener;

    /** Not an event loop: to take the lock again may take a while. */
    private final ExecutorService turns =
        Executors.newSingleThreadExecutor(new DefaultThreadFactory("takeover", /* daemon= */ true));

    /**
     * Binds and listens; nobody is answered yet.
     *
     * @param bound a private name that is renamed to {@link #controlPath}; a random one, as Netty
     *     removes what has it when this is closed
     * @param release releases the lock; false where this server goes
     * @param retake takes the lock again, when a successor has given up
     * @param handedOver is run when a successor has published
     */
    Successors(SocketPath bound, BooleanSupplier release, Runnable retake, Runnable handedOver)
        throws IOException {
      this.release = release;
      this.retake = retake;
      this.handedOver = handedOver;
      ChannelFuture listening =
          new ServerBootstrap()
              .group(EventLoops.SHARED)
              .channel(EpollServerDomainSocketChannel.class)
              .option(ChannelOption.AUTO_READ, false) // until the path is published
              .childHandler(new Queue())
              .bind(bound.address())
              .awaitUninterruptibly();
      if (!listening.isSuccess()) {
        throw new IOException(listening.cause().getMessage(), listening.cause());
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
      listener.close().awaitUninterruptibly();
      turns.shutdown();
    }

    private void handOver(Connection successor) {
      try (successor) {
        if (!release.getAsBoolean()) {
          return;
        }
        successor.say(RELEASED);
        // No deadline, as a server may take long to start; the system hangs up for one that dies.
        if (successor.event.join().equals(PUBLISHED)) {
          handedOver.run();
        } else {
          retake.run();
        }
      }
    }

    private final class Queue extends ChannelInitializer<Channel> {
      @Override
      protected void initChannel(Channel channel) {
        Connection successor = new Connection();
        channel.pipeline().addLast(successor);
        try {
          turns.execute(() -> handOver(successor));
        } catch (RejectedExecutionException e) { // this server goes
          channel.close();
        }
      }
    }
  }

  /** Says lines, and hears one. */
  private static final class Connection extends SimpleChannelInboundHandler<ByteBuf>
      implements AutoCloseable {

    /** What the other one has said first. */
    final CompletableFuture<String> event = new CompletableFuture<>();

    private Channel channel;

    void say(String event) {
      JsonObject line = new JsonObject();
      line.addProperty("event", event);
      channel.writeAndFlush(Unpooled.copiedBuffer(line + "\n", UTF_8)).awaitUninterruptibly();
    }

    @Override
    public void close() {
      channel.close();
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
      channel = context.channel();
      channel.pipeline().addFirst(new LineBasedFrameDecoder(MAX_LINE_BYTES));
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, ByteBuf line) {
      try {
        event.complete(
            new Gson().fromJson(line.toString(UTF_8), JsonObject.class).get("event").getAsString());
      } catch (JsonParseException | NullPointerException | IllegalStateException e) {
        event.complete(HUNG_UP); // as it will, or as good as that
      }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
      event.complete(HUNG_UP);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      event.complete(HUNG_UP);
    }
  }
}
