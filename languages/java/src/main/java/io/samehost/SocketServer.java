package io.samehost;

import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.ChannelOption;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * A gRPC server that listens on a Unix domain socket. It also serves {@code grpc.health.v1.Health},
 * whose watches end when the server stops.
 *
 * <pre>{@code
 * try (SocketServer server =
 *     SocketServer.builder(SocketPath.of("/run/app/app.sock")).addService(new Echo()).start()) {
 *   stop.await();
 * }
 * }</pre>
 */
public final class SocketServer implements AutoCloseable {
  private static final Duration DEFAULT_GRACE = Duration.ofSeconds(5);

  /** How long connections may take to close after their calls were cancelled. */
  private static final Duration CUT = Duration.ofSeconds(1);

  private final SocketFile file;
  private final HealthService health;
  private final Server server;

  private SocketServer(SocketFile file, HealthService health, Server server) {
    this.file = file;
    this.health = health;
    this.server = server;
  }

  /** Returns a builder for a server on this path. */
  public static Builder builder(SocketPath socket) {
    return new Builder(socket);
  }

  /** The services and options of a server. */
  public static final class Builder {
    private final SocketPath socket;
    private final List<Consumer<? super NettyServerBuilder>> settings = new ArrayList<>();
    private int mode = 0660;
    private GroupPrincipal group;
    private String owner = "grpc-java";
    private boolean trustFolder;
    private boolean allowTakeover;
    private boolean takeOver;

    private Builder(SocketPath socket) {
      this.socket = Objects.requireNonNull(socket);
    }

    /** Adds a service. {@code grpc.health.v1.Health} replaces the built-in health service. */
    public Builder addService(BindableService service) {
      return configure(netty -> netty.addService(service));
    }

    /**
     * Sets options of the gRPC builder, such as an executor, interceptors, message sizes or TLS.
     * May be called several times; {@link #start} applies the settings in order.
     */
    public Builder configure(Consumer<? super NettyServerBuilder> setting) {
      settings.add(setting);
      return this;
    }

    /** Sets the permissions of the socket, 0660 by default. Connecting takes write permission. */
    public Builder mode(int mode) {
      if ((mode & ~0777) != 0) {
        throw new IllegalArgumentException("invalid mode %04o: use 0000 to 0777".formatted(mode));
      }
      this.mode = mode;
      return this;
    }

    /** Sets the group of the socket. By default (null) it is that of a new file in the folder. */
    public Builder group(GroupPrincipal group) {
      this.group = group;
      return this;
    }

    /** Names this server in the error of a second server, {@code grpc-java} by default. */
    public Builder owner(String owner) {
      this.owner = Objects.requireNonNull(owner);
      return this;
    }

    /**
     * Allows a folder where every user may replace the socket, because it has mode o+w and no
     * sticky bit. The server then logs a warning. False by default.
     */
    public Builder trustFolder(boolean trustFolder) {
      this.trustFolder = trustFolder;
      return this;
    }

    /**
     * Lets a successor take the path over without losing a call. {@link SocketServer#takenOver}
     * completes then. False by default. The successor connects to {@code <path>.takeover}, so the
     * path must have at most 98 bytes.
     */
    public Builder allowTakeover(boolean allowTakeover) {
      this.allowTakeover = allowTakeover;
      return this;
    }

    /**
     * Replaces a running server, which then drains and exits. False by default. True also allows a
     * takeover of this server.
     */
    public Builder takeOver(boolean takeOver) {
      this.takeOver = takeOver;
      return this;
    }

    /**
     * Starts the server and returns when calls succeed. Replaces the file of a killed server. With
     * {@link #takeOver} it may wait for up to 7 s.
     *
     * @throws SocketInUseException if another server uses the path
     * @throws UnsafeFolderException if every user can replace the socket
     * @throws LockFileException if the lock file cannot be used
     * @throws NotSocketException if the path names another kind of file
     * @throws SamehostException if the system refuses another operation
     * @throws InterruptedException if the thread is interrupted; no file is left behind
     */
    public SocketServer start() throws SamehostException, InterruptedException {
      return SocketServer.start(this);
    }
  }

  private static SocketServer start(Builder options)
      throws SamehostException, InterruptedException {
    SocketFile file =
        new SocketFile(
            options.socket,
            options.owner,
            options.trustFolder,
            options.allowTakeover || options.takeOver);
    HealthService health = new HealthService();
    Server server = null;
    boolean started = false;
    try {
      server = build(file.claim(options.takeOver), options, health);
      health.serve(server);
      listen(server, options.socket);
      file.publish(options.mode, options.group);
      started = true;
      return new SocketServer(file, health, server);
    } catch (SamehostException e) {
      if (Thread.interrupted()) { // an interrupt closes files of the JDK, which causes errors
        throw (InterruptedException) new InterruptedException(e.getMessage()).initCause(e);
      }
      throw e;
    } finally {
      if (!started) {
        if (server != null) {
          server.shutdownNow();
        }
        file.withdraw();
      }
    }
  }

  private static Server build(Path bound, Builder options, HealthService health) {
    NettyServerBuilder netty =
        NettyServerBuilder.forAddress(new DomainSocketAddress(bound.toString()))
            .channelFactory(SecondPing::listener)
            .bossEventLoopGroup(EventLoops.SHARED)
            .workerEventLoopGroup(EventLoops.SHARED)
            // gRPC sets this option, which Unix sockets do not have, and Netty would warn.
            .withChildOption(ChannelOption.SO_KEEPALIVE, null)
            // A fixed window, because the automatic one sends pings to estimate the bandwidth. They
            // are useless on one machine, and can break a connection that C-core is closing.
            .flowControlWindow(NettyServerBuilder.DEFAULT_FLOW_CONTROL_WINDOW)
            .addService(health);
    options.settings.forEach(setting -> setting.accept(netty));
    return netty.build();
  }

  private static void listen(Server server, SocketPath socket) throws SamehostException {
    try {
      server.start();
    } catch (IOException e) {
      // The message of grpc-java names the private path.
      throw SocketFile.cannotBind(socket, e.getCause() instanceof IOException cause ? cause : e);
    }
  }

  /** Completes when a successor has taken the path over. Call {@link #stop} then. */
  public CompletionStage<Void> takenOver() {
    return file.takenOver();
  }

  /**
   * Completes when the socket was removed or replaced, so that new clients cannot connect. The
   * server also logs a warning. The first call starts a check once per second.
   */
  public CompletionStage<Void> removed() {
    return file.removed();
  }

  /**
   * Stops without refusing a call that was already sent. First removes the socket, so that no new
   * client connects and another server may start. Then moves clients off their connections, and
   * lets calls in progress finish. May be called again.
   *
   * @param grace how long calls may take to finish; then the others are cancelled within 1 s
   */
  public void stop(Duration grace) throws InterruptedException {
    health.end();
    file.withdraw();
    // This sends GOAWAY twice with a ping between them, and accepts every call that a client sent
    // before it read the first GOAWAY (NettyServerHandler.GracefulShutdown, and SecondPing).
    server.shutdown();
    if (!server.awaitTermination(grace.toMillis(), TimeUnit.MILLISECONDS)) {
      server.shutdownNow();
      server.awaitTermination(CUT.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  /** Stops with a grace period of 5 s, or at once if the thread is interrupted. */
  @Override
  public void close() {
    try {
      stop(DEFAULT_GRACE);
    } catch (InterruptedException e) {
      server.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }

  /** Removes the socket and releases the lock, before a process exits without {@link #stop}. */
  public void withdraw() {
    file.withdraw();
  }
}
