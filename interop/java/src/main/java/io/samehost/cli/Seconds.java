package io.samehost.cli;

import java.time.Duration;
import picocli.CommandLine.TypeConversionException;

/** Spans of time on the command line. */
final class Seconds {

  /** Ten years, which is as good as for ever. */
  private static final double MOST = 10 * 365 * 86400.0;

  private Seconds() {}

  /** Reads seconds, which may have a fraction. */
  static Duration parse(String what, String text, double least) {
    double seconds;
    try {
      seconds = Double.parseDouble(text);
    } catch (NumberFormatException e) {
      throw new TypeConversionException(
          "invalid %s '%s': use a number of seconds, such as 5".formatted(what, text));
    }
    if (!(seconds >= least && seconds <= MOST)) { // NaN is neither
      throw new TypeConversionException(
          "invalid %s '%s': use %s to %.0f seconds".formatted(what, text, least, MOST));
    }
    return Duration.ofNanos((long) (seconds * 1e9));
  }
}
