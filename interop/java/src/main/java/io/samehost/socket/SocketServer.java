package io.samehost.socket;

import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import java.io.IOException;
import java.nio.file.attribute.GroupPrincipal;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Serves gRPC on a Unix domain socket, with health and reflection. */
public final class SocketServer {

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

  /** A server of these services, which {@link Builder#start} starts. */
  public static Builder builder(SocketPath socket, List<ServerServiceDefinition> services) {
    return new Builder(socket, services);
  }

  /** How a server serves, where it is not as usual. */
  public static final class Builder {
    private final SocketPath socket;
    private final List<ServerServiceDefinition> services;
    private int mode = 0660;
    private GroupPrincipal group;
    private boolean takeover;
    private boolean trustFolder;

    private Builder(SocketPath socket, List<ServerServiceDefinition> services) {
      this.socket = socket;
      this.services = List.copyOf(services);
    }

    /** The permissions of the socket, 0660 by default; connecting takes write permission. */
    public Builder mode(int mode) {
      this.mode = mode;
      return this;
    }

    /** The group of the socket; by default, and where it is null, that of the process. */
    public Builder group(GroupPrincipal group) {
      this.group = group;
      return this;
    }

    /** Whether a server that has the path is asked to hand it over. */
    public Builder takeover(boolean takeover) {
      this.takeover = takeover;
      return this;
    }

    /**
     * Whether to serve, with a warning, in a folder where every user may replace the socket, as it
     * has mode o+w and no sticky bit; otherwise it is refused.
     */
    public Builder trustFolder(boolean trustFolder) {
      this.trustFolder = trustFolder;
      return this;
    }

    /** Starts the server; when this returns, calls succeed. */
    public SocketServer start() throws SamehostException {
      return SocketServer.start(this);
    }
  }

  private static SocketServer start(Builder options) throws SamehostException {
    SocketPath socket = options.socket;
    SocketFile file =
        new SocketFile(socket, Library.NAME + " " + Library.VERSION, options.trustFolder);
    HealthService health = new HealthService(namesOf(options.services));
    Server server = null;
    boolean started = false;
    try {
      server = build(file.claim(options.takeover), options.services, health).start();
      file.publish(options.mode, options.group);
      started = true;
      return new SocketServer(file, health, server);
    } catch (IOException e) {
      throw new SamehostException(
          ("the system refused a socket beside %s: %s;"
                  + " check that its folder is on a file system with sockets and has space")
              .formatted(
                  // grpc-java's own message names the private path.
                  socket.path(), (e.getCause() == null ? e : e.getCause()).getMessage()),
          e);
    } finally {
      if (!started) {
        if (server != null) {
          server.shutdownNow();
        }
        file.withdraw();
      }
    }
  }

  /** Completes when a successor has taken the path over: it is time to {@link #stop}. */
  public CompletionStage<Void> takenOver() {
    return file.takenOver();
  }

  /**
   * Completes when someone has removed the path, or put something else there, which is logged: no
   * new client finds this server.
   */
  public CompletionStage<Void> removed() {
    return file.removed();
  }

  /**
   * Stops: the path goes first, so that a successor may start and nobody new comes; then clients
   * are moved off their connections, and calls in progress have the grace to finish.
   *
   * <p>{@code shutdown} loses no call that is on its way: it sends GOAWAY twice with a ping between
   * them, and takes every call that was sent before the client read the first one
   * (NettyServerHandler.GracefulShutdown, and {@link SecondPing}).
   */
  public void stop(Duration grace) throws InterruptedException {
    health.end();
    file.withdraw();
    server.shutdown();
    if (!server.awaitTermination(grace.toMillis(), TimeUnit.MILLISECONDS)) {
      server.shutdownNow();
      server.awaitTermination(CUT.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  /** Removes the path and releases the lock, for a process that is about to end at once. */
  public void withdraw() {
    file.withdraw();
  }

  private static Server build(
      SocketPath bound, List<ServerServiceDefinition> services, HealthService health) {
    return NettyServerBuilder.forAddress(bound.address())
        .channelFactory(SecondPing::listener)
        .bossEventLoopGroup(EventLoops.SHARED)
        .workerEventLoopGroup(EventLoops.SHARED)
        // A fixed window, as the automatic one sends pings to estimate a bandwidth: on one machine
        // they are of no use, and can break a connection of C-core that is just being closed.
        .flowControlWindow(NettyServerBuilder.DEFAULT_FLOW_CONTROL_WINDOW)
        .addServices(services)
        .addService(health)
        .addService(ProtoReflectionServiceV1.newInstance())
        .build();
  }

  private static Set<String> namesOf(List<ServerServiceDefinition> services) {
    Set<String> names =
        services.stream()
            .map(service -> service.getServiceDescriptor().getName())
            .collect(Collectors.toSet());
    names.add("");
    return names;
  }
}
