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
    description = "Makes all four kinds of call of Greeter and prints what was said.")
final class GreetCommand implements Callable<Integer> {

  @Option(names = "--socket", required = true, paramLabel = "PATH", description = "Where.")
  private SocketPath socket;

  @Option(names = "--name", required = true, paramLabel = "NAME", description = "Who is greeted.")
  private String name;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      defaultValue = "5",
      converter = TimeoutConverter.class,
      description = "How long a call may take. [${DEFAULT-VALUE}]")
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

  /** Says what the status of a failed call means: why there is no server, or what it answered. */
  private IOException explain(Status status) throws IOException {
    String details = status.getDescription() == null ? "no details" : status.getDescription();
    switch (status.getCode()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED -> Diagnosis.check(socket);
      default -> {}
    }
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      return new IOException(
          ("cannot call %s: no answer before the deadline: %s;"
                  + " use a longer --timeout, or check what blocks the server")
              .formatted(socket, details));
    }
    return new IOException(
        "cannot call %s: the server answered %s: %s".formatted(socket, status.getCode(), details));
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
