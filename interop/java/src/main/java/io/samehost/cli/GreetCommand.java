package io.samehost.cli;

import io.grpc.ManagedChannel;
import io.grpc.StatusException;
import io.samehost.greeter.GreeterClient;
import io.samehost.socket.Diagnosis;
import io.samehost.socket.SamehostException;
import io.samehost.socket.SocketChannel;
import io.samehost.socket.SocketPath;
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
  public Integer call() throws SamehostException, InterruptedException {
    Logging.off();
    ManagedChannel channel = SocketChannel.open(socket, timeout);
    try {
      new GreeterClient(channel, name, timeout).greet(GreetCommand::print);
      return Main.EXIT_DONE;
    } catch (StatusException e) {
      throw Diagnosis.explain(e.getStatus(), socket);
    } finally {
      channel.shutdownNow();
    }
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
