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

  /** How long connections have to close when their last call has been cut. */
  private static final Duration CUT = Duration.ofSeconds(1);

  private final SocketFile file;
  private final HealthService health;
  private final Server server;

  private SocketServer(SocketFile file, HealthService health, Server server) {
    this.file = file;
    this.health = health;
    this.server = server;
  }

  /** Returns a builder of a server on this path. */
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

    /** Adds a service. One of the name {@code grpc.health.v1.Health} replaces the own one. */
    public Builder addService(BindableService service) {
      return configure(netty -> netty.addService(service));
    }

    /**
     * Sets more in the builder of gRPC, such as an executor, interceptors, message sizes or TLS.
     * May be repeated; all of it is applied in turn at the start.
     */
    public Builder configure(Consumer<? super NettyServerBuilder> setting) {
      settings.add(setting);
      return this;
    }

    /** Sets the permissions of the socket, 0660 by default. Connecting takes write permission. */
    public Builder mode(int mode) {
      if ((mode & ~0777) != 0) {
        throw new IllegalArgumentException(
            "invalid mode %04o: use 0000 to 0777".formatted(mode));
      }
      this.mode = mode;
      return this;
    }

    /** Sets the group of the socket; null, the default, leaves that of a new file in the folder. */
    public Builder group(GroupPrincipal group) {
      this.group = group;
      return this;
    }

    /** Names this server in the error of a second one; {@code grpc-java} by default. */
    public Builder owner(String owner) {
      this.owner = Objects.requireNonNull(owner);
      return this;
    }

    /**
     * Listens also, with a warning, in a folder where every user may replace the socket, as it has
     * mode o+w and no sticky bit. False by default.
     */
    public Builder trustFolder(boolean trustFolder) {
      this.trustFolder = trustFolder;
      return this;
    }

    /**
     * Lets a successor take the path over without losing a call; {@link SocketServer#takenOver}
     * tells when. False by default. The successor dials {@code <path>.takeover}, for which a path
     * of more than 98 bytes leaves no room.
     */
    public Builder allowTakeover(boolean allowTakeover) {
      this.allowTakeover = allowTakeover;
      return this;
    }

    /**
     * Replaces a running server, which then drains and exits. False by default; true also allows a
     * takeover of this server.
     */
    public Builder takeOver(boolean takeOver) {
      this.takeOver = takeOver;
      return this;
    }

    /**
     * Starts the server; when this returns, calls succeed. Replaces the file of a server that was
     * killed. With {@link #takeOver} it may wait for 7 s.
     *
     * @throws SocketInUseException if a server has the path
     * @throws UnsafeFolderException if every user can replace the socket
     * @throws LockFileException if the lock file cannot be used
     * @throws NotSocketException if another kind of file is at the path
     * @throws SamehostException if the system refuses something else
     * @throws InterruptedException if the thread is interrupted; nothing is left behind
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
      if (Thread.interrupted()) { // which closes files of the JDK, each with an error of its own
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
            // gRPC sets it, and Netty warns on each connection that such a socket has none.
            .withChildOption(ChannelOption.SO_KEEPALIVE, null)
            // A fixed window, as the automatic one sends pings to estimate a bandwidth: on one
            // machine they are of no use, and can break a connection of C-core that is just being
            // closed.
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

  /** Completes when a successor has taken the path over: it is time to {@link #stop}. */
  public CompletionStage<Void> takenOver() {
    return file.takenOver();
  }

  /**
   * Completes when someone has removed the path, or put something else there, which is logged: no
   * new client finds this server. The first call begins to watch, once a second.
   */
  public CompletionStage<Void> removed() {
    return file.removed();
  }

  /**
   * Stops without refusing a call that was already sent: removes the path, so that a successor may
   * start and nobody new comes; then moves clients off their connections, and lets calls in
   * progress finish. May be repeated.
   *
   * @param grace how long calls may take to finish; those that are left are cut, within 1 s more
   */
  public void stop(Duration grace) throws InterruptedException {
    health.end();
    file.withdraw();
    // It sends GOAWAY twice with a ping between them, and takes every call that was sent before the
    // client read the first one (NettyServerHandler.GracefulShutdown, and SecondPing).
    server.shutdown();
    if (!server.awaitTermination(grace.toMillis(), TimeUnit.MILLISECONDS)) {
      server.shutdownNow();
      server.awaitTermination(CUT.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  /** Stops with a grace of 5 s, and at once when the thread is interrupted. */
  @Override
  public void close() {
    try {
      stop(DEFAULT_GRACE);
    } catch (InterruptedException e) {
      server.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }

  /** Removes the path and releases the lock, for a process that is about to end at once. */
  public void withdraw() {
    file.withdraw();
  }
}
