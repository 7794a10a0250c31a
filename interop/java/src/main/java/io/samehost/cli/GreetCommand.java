package io.samehost.cli;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusException;
import io.samehost.Diagnosis;
import io.samehost.SocketChannelBuilder;
import io.samehost.SocketPath;
import io.samehost.greeter.GreeterClient;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

@Command(
    name = "greet",
    mixinStandardHelpOptions = true,
    description = "Makes all four kinds of call of the greeter service and prints them.")
final class GreetCommand implements Callable<Integer> {

  @Option(
      names = "--socket",
      required = true,
      paramLabel = "PATH",
      description = "Path or address of the socket.")
  private SocketPath socket;

  @Option(names = "--name", required = true, paramLabel = "NAME", description = "Name to greet.")
  private String name;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      defaultValue = "5",
      converter = TimeoutConverter.class,
      description = "Deadline of each call. [${DEFAULT-VALUE}]")
  private Duration timeout;

  @Override
  public Integer call() throws IOException, InterruptedException {
    Logging.off();
    ManagedChannel channel = SocketChannelBuilder.forPath(socket).connect(timeout);
    try {
      new GreeterClient(channel, name, timeout).greet(GreetCommand::print);
      return Main.EXIT_DONE;
    } catch (StatusException e) {
      throw explain(e.getStatus());
    } finally {
      channel.shutdownNow();
    }
  }

  /** Explains a failed call: why the server cannot be reached, or which status it returned. */
  private IOException explain(Status status) throws IOException {
    String details = status.getDescription() == null ? "no details" : status.getDescription();
    switch (status.getCode()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED -> Diagnosis.check(socket);
      default -> {}
    }
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      return new IOException(
          ("no answer from %s before the deadline: %s;"
                  + " use a longer --timeout, or check what blocks the server")
              .formatted(socket, details));
    }
    return new IOException("%s answered %s: %s".formatted(socket, status.getCode(), details));
  }

  private static void print(GreeterClient.Exchange exchange) {
    Main.print(exchange.method());
    exchange.sent().forEach(text -> Main.print("  > " + text));
    exchange.received().forEach(text -> Main.print("  < " + text));
  }

  private static final class TimeoutConverter implements ITypeConverter<Duration> {
    @Override
    public Duration convert(String text) {
      return Seconds.parse("timeout", text, /* least= */ 0.001);
    }
  }
}
