package io.samehost.cli;

import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import io.samehost.SocketPath;
import io.samehost.SocketServer;
import io.samehost.UnsafeFolderException;
import io.samehost.greeter.GreeterService;
import io.samehost.interop.InteropService;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.attribute.GroupPrincipal;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

@Command(
    name = "serve",
    mixinStandardHelpOptions = true,
    description =
        "Serves the greeter and gRPC's interop services until SIGTERM, SIGINT or a takeover.")
final class ServeCommand implements Callable<Integer> {

  @Option(
      names = "--socket",
      required = true,
      paramLabel = "PATH",
      description = "Path or address of the socket.")
  private SocketPath socket;

  @Option(
      names = "--mode",
      paramLabel = "OCTAL",
      defaultValue = "0660",
      converter = ModeConverter.class,
      description = "Permissions of the socket. [${DEFAULT-VALUE}]")
  private int mode;

  @Option(
      names = "--group",
      paramLabel = "NAME|GID",
      converter = GroupConverter.class,
      description = "Group of the socket. [the group of the process, or of a set-gid folder]")
  private GroupPrincipal group;

  @Option(
      names = "--grace",
      paramLabel = "SECONDS",
      defaultValue = "5",
      converter = GraceConverter.class,
      description = "How long calls may take to finish after a stop. [${DEFAULT-VALUE}]")
  private Duration grace;

  @Option(
      names = "--trust-folder",
      description = "Listen in a folder where every user can replace the socket, with a warning.")
  private boolean trustFolder;

  @Option(
      names = "--takeover",
      description = "Take the path over from a running server, which then drains and exits.")
  private boolean takeover;

  @Option(
      names = "--on-removed",
      paramLabel = "serve|stop",
      defaultValue = "serve",
      converter = OnRemovedConverter.class,
      description =
          "When the socket is removed: serve the connected clients, or stop with exit code 1."
              + " [${DEFAULT-VALUE}]")
  private OnRemoved onRemoved;

  private enum OnRemoved {
    SERVE,
    STOP
  }

  /** The ready line of PROTOCOL.md. */
  private record Ready(
      String event, String address, long pid, String implementation, String version) {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    StopSignals signals = new StopSignals();
    SocketServer server;
    try {
      server = start();
    } catch (InterruptedException e) { // by the first signal
      return Main.EXIT_DONE;
    }
    signals.started(server::withdraw);
    Main.printJson(
        new Ready(
            "ready",
            socket.toString(),
            ProcessHandle.current().pid(),
            Library.NAME,
            Library.VERSION));
    server.takenOver().thenRun(signals::stop);
    AtomicInteger exitCode = new AtomicInteger(Main.EXIT_DONE);
    server
        .removed()
        .thenRun(
            () -> {
              if (onRemoved == OnRemoved.STOP) {
                exitCode.set(Main.EXIT_FAILED);
                signals.stop();
              }
            });
    signals.await();
    server.stop(grace);
    return exitCode.get();
  }

  private SocketServer start() throws IOException, InterruptedException {
    try {
      return SocketServer.builder(socket)
          .addService(new GreeterService())
          .addService(ProtoReflectionServiceV1.newInstance())
          .configure(netty -> netty.addServices(InteropService.services()))
          .mode(mode)
          .group(group)
          .owner(Library.NAME + " " + Library.VERSION)
          .trustFolder(trustFolder)
          .allowTakeover(true)
          .takeOver(takeover)
          .start();
    } catch (UnsafeFolderException e) {
      throw new IOException(e.getMessage() + ", or use --trust-folder", e);
    }
  }

  private static final class ModeConverter implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String text) {
      if (!text.matches("(0o)?[0-7]+")) {
        throw new TypeConversionException(
            "invalid mode '%s': use octal digits, such as 0660".formatted(text));
      }
      String digits = text.replaceFirst("^(0o)?0*(?=.)", "");
      if (digits.length() > 3) {
        throw new TypeConversionException("invalid mode '%s': use 0000 to 0777".formatted(text));
      }
      return Integer.valueOf(digits, 8);
    }
  }

  private static final class GroupConverter implements ITypeConverter<GroupPrincipal> {
    @Override
    public GroupPrincipal convert(String text) {
      try {
        // Also accepts the number of a group, even if the group has no name.
        return FileSystems.getDefault()
            .getUserPrincipalLookupService()
            .lookupPrincipalByGroupName(text);
      } catch (IOException e) {
        throw new TypeConversionException(
            "invalid group '%s': no such group on this machine; create it, or use its number"
                .formatted(text));
      }
    }
  }

  private static final class OnRemovedConverter implements ITypeConverter<OnRemoved> {
    @Override
    public OnRemoved convert(String text) {
      return switch (text) {
        case "serve" -> OnRemoved.SERVE;
        case "stop" -> OnRemoved.STOP;
        default ->
            throw new TypeConversionException(
                "invalid on-removed '%s': use serve or stop".formatted(text));
      };
    }
  }

  private static final class GraceConverter implements ITypeConverter<Duration> {
    @Override
    public Duration convert(String text) {
      return Seconds.parse("grace", text, /* least= */ 0);
    }
  }
}
