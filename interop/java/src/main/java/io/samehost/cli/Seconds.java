package io.samehost.cli;

import java.time.Duration;
import picocli.CommandLine.TypeConversionException;

/** Reads durations from the command line. */
final class Seconds {

  /** Ten years, which is practically unlimited. */
  private static final double MOST = 10 * 365 * 86400.0;

  private Seconds() {}

  /** Reads a number of seconds, which may have a fraction. */
  static Duration parse(String what, String text, double least) {
    double seconds;
    try {
      seconds = Double.parseDouble(text);
    } catch (NumberFormatException e) {
      throw new TypeConversionException(
          "invalid %s '%s': use a number of seconds, such as 5".formatted(what, text));
    }
    if (!(seconds >= least && seconds <= MOST)) { // also false for NaN
      throw new TypeConversionException(
          "invalid %s '%s': use %s to %.0f seconds".formatted(what, text, least, MOST));
    }
    return Duration.ofNanos((long) (seconds * 1e9));
  }
}
