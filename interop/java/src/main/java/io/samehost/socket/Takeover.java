package io.samehost.socket;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
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
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.handler.codec.LineBasedFrameDecoder;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.logging.Logger;

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

  /** How long a successor may be silent without the lock, for which it tries for 2 s. */
  private static final Duration SILENCE = Duration.ofSeconds(5);

  /** How often to try for the lock when a successor has failed. */
  private static final Duration PACE = Duration.ofMillis(50);

  /** 2 s: a third server may hold the lock for a moment, while it finds the path live. */
  private static final int TRIES_BEFORE_WARNING = 40;

  private static final int MAX_LINE_BYTES = 4096;

  private static final JsonObject RELEASED = event("released");
  private static final JsonObject PUBLISHED = event("published");

  /** Said by nobody, and stands for all that is none of the messages. */
  private static final JsonElement FAILED = JsonNull.INSTANCE;

  private static final Logger LOG = Logger.getLogger(Takeover.class.getName());

  private Takeover() {}

  /** Where a server listens for its successor; null where the name would be too long. */
  static SocketPath controlPath(SocketPath socket) {
    String path = socket.path() + ".takeover";
    return path.getBytes(UTF_8).length <= SocketPath.MAX_BYTES
        ? new SocketPath(Path.of(path))
        : null;
  }

  private static JsonObject event(String name) {
    JsonObject event = new JsonObject();
    event.addProperty("event", name);
    return event;
  }

  /** The server that has the path, as its successor meets it; it has released its lock. */
  static final class Predecessor implements AutoCloseable {
    private final Connection connection;

    private Predecessor(Connection connection) {
      this.connection = connection;
    }

    /**
     * Asks it to release its lock.
     *
     * @param folder of the socket
     */
    static Predecessor ask(SocketPath socket, Folder folder) throws SamehostException {
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
              .connect(folder.dialled(control.path().getFileName().toString()).address())
              .awaitUninterruptibly();
      if (!dialled.isSuccess()) {
        Throwable cause = dialled.cause();
        throw nobodyAnswers(
            socket,
            control,
            // Netty's exception has no message there.
            cause instanceof FileNotFoundException ? "no such file" : cause.getMessage());
      }
      JsonElement answer = connection.hear(PATIENCE);
      if (RELEASED.equals(answer)) {
        return new Predecessor(connection);
      }
      connection.close();
      throw answer == null
          ? nobodyAnswers(socket, control, "timed out")
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
     * @param bound a private name that is renamed to {@link #controlPath}; a random one, as Netty
     *     removes what has it when this is closed
     * @param release releases the lock; false where this server goes
     * @param retake tries to take the lock again, when a successor has given up; true where it is
     *     had, or needed no more
     * @param handedOver is run when a successor has published
     */
    Successors(
        SocketPath socket,
        SocketPath bound,
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
      listener.close();
      connections.close();
      turns.shutdown();
    }

    private void handOver(Connection successor) {
      try (successor) {
        if (!release.getAsBoolean()) {
          return;
        }
        successor.say(RELEASED);
        JsonElement heard;
        while ((heard = successor.hear(SILENCE)) == null) { // as it may take long to start
          if (retake.getAsBoolean()) {
            LOG.warning(
                "a successor that wanted to take %s over said nothing more"
                    .formatted(socket.path()));
            return;
          }
        }
        if (heard.equals(PUBLISHED)) {
          handedOver.run();
        } else {
          retakeHoweverLong();
        }
      }
    }

    private void retakeHoweverLong() {
      for (int tries = 1; !retake.getAsBoolean(); tries++) {
        if (tries == TRIES_BEFORE_WARNING) {
          LOG.warning(
              "a takeover of %s failed, and another process holds its lock"
                  .formatted(socket.path()));
        }
        LockSupport.parkNanos(PACE.toNanos());
      }
    }

    private final class Queue extends ChannelInitializer<Channel> {
      @Override
      protected void initChannel(Channel channel) {
        Connection successor = new Connection();
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

  /** Says lines, and hears one. */
  private static final class Connection extends SimpleChannelInboundHandler<ByteBuf>
      implements AutoCloseable {
    private final CompletableFuture<JsonElement> heard = new CompletableFuture<>();
    private Channel channel;

    void say(JsonObject event) {
      channel.writeAndFlush(Unpooled.copiedBuffer(event + "\n", UTF_8)).awaitUninterruptibly();
    }

    /** What the other one has said first; null where it has said nothing within the patience. */
    JsonElement hear(Duration patience) {
      return heard
          .copy()
          .completeOnTimeout(null, patience.toMillis(), TimeUnit.MILLISECONDS)
          .join();
    }

    @Override
    public void close() {
      channel.close();
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
      channel = context.channel();
      channel
          .pipeline()
          .addFirst(
              new LineBasedFrameDecoder(
                  MAX_LINE_BYTES, /* stripDelimiter= */ true, /* failFast= */ true));
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, ByteBuf line) {
      try {
        CharBuffer text = UTF_8.newDecoder().decode(line.nioBuffer()); // which refuses other bytes
        heard.complete(JsonParser.parseString(text.toString()));
      } catch (CharacterCodingException | JsonParseException e) {
        heard.complete(FAILED);
      }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
      heard.complete(FAILED);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      heard.complete(FAILED);
    }
  }
}
