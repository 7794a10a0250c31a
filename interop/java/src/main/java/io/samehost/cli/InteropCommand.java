package io.samehost.cli;

import io.samehost.SamehostException;
import io.samehost.SocketPath;
import io.samehost.interop.InteropClient;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

@Command(
    name = "interop",
    mixinStandardHelpOptions = true,
    description = "Runs official interop cases of gRPC and prints a line of JSON for each.")
final class InteropCommand implements Callable<Integer> {

  @Option(
      names = "--socket",
      required = true,
      paramLabel = "PATH",
      description = "Path or address of the socket.")
  private SocketPath socket;

  @Option(
      names = "--case",
      required = true,
      paramLabel = "NAME",
      converter = CaseConverter.class,
      description = "Name of an official case. Repeat for several cases.")
  private List<String> cases;

  @Override
  public Integer call() throws SamehostException, InterruptedException {
    Logging.off();
    boolean passed = new InteropClient(socket).run(cases, Main::printJson);
    return passed ? Main.EXIT_DONE : Main.EXIT_FAILED;
  }

  private static final class CaseConverter implements ITypeConverter<String> {
    @Override
    public String convert(String name) {
      if (!InteropClient.isCase(name)) {
        throw new TypeConversionException(
            ("invalid case '%s': no such case;"
                    + " use a name of grpc/grpc doc/interop-test-descriptions.md")
                .formatted(name));
      }
      return name;
    }
  }
}
