package io.samehost.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import io.netty.channel.epoll.Epoll;
import io.samehost.SocketPath;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.TypeConversionException;

/** The three commands of PROTOCOL.md. */
@Command(
    name = Main.NAME,
    mixinStandardHelpOptions = true,
    description = "gRPC over a Unix domain socket, in Java.",
    subcommands = {ServeCommand.class, GreetCommand.class, InteropCommand.class})
public final class Main {
  static final String NAME = "samehost-java";

  static final int EXIT_DONE = 0;
  static final int EXIT_FAILED = 1;
  static final int EXIT_USAGE = 2;

  /** UTF-8 in every locale, flushed after each line. */
  private static final PrintStream OUT =
      new PrintStream(new FileOutputStream(FileDescriptor.out), /* autoFlush= */ true, UTF_8);

  private static final PrintStream ERR =
      new PrintStream(new FileOutputStream(FileDescriptor.err), /* autoFlush= */ true, UTF_8);

  private static final Gson JSON = new GsonBuilder().disableHtmlEscaping().create();

  private Main() {}

  public static void main(String[] arguments) {
    System.exit(commandLine().execute(arguments));
  }

  /** Prints a line on stdout. */
  static void print(String line) {
    OUT.println(line);
  }

  /** Prints a record as a line of JSON. */
  static void printJson(Object line) {
    OUT.println(JSON.toJson(line));
  }

  private static CommandLine commandLine() {
    return new CommandLine(new Main())
        .registerConverter(SocketPath.class, Main::socketPath)
        .setExpandAtFiles(false)
        .setOut(new java.io.PrintWriter(OUT, true))
        .setErr(new java.io.PrintWriter(ERR, true))
        .setExecutionStrategy(Main::execute)
        .setParameterExceptionHandler(
            // Picocli puts the name of the option before the message of a converter.
            (e, arguments) ->
                fail(e.getCause() instanceof TypeConversionException cause ? cause : e, EXIT_USAGE))
        .setExecutionExceptionHandler(
            (e, command, parsed) -> {
              if (e instanceof IOException) {
                return fail(e, EXIT_FAILED);
              }
              throw e;
            });
  }

  private static int execute(CommandLine.ParseResult parsed) {
    Logging.configure();
    if (!Epoll.isAvailable()) {
      return fail(
          new IOException(
              "cannot load Netty's native library: %s; run on Linux on x86-64 or AArch64"
                  .formatted(Epoll.unavailabilityCause())),
          EXIT_FAILED);
    }
    return new CommandLine.RunLast().execute(parsed);
  }

  private static SocketPath socketPath(String address) {
    try {
      return SocketPath.of(address);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }

  private static int fail(Exception error, int code) {
    ERR.println(NAME + ": " + error.getMessage().strip().replaceAll("\\s+", " "));
    return code;
  }
}
