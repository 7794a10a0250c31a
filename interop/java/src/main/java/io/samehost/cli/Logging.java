package io.samehost.cli;

import java.util.logging.Level;
import java.util.logging.Logger;

/** Logs warnings and errors of the libraries to stderr, one line each. */
final class Logging {
  private static final Logger ROOT = Logger.getLogger("");

  /** Netty warns with this logger if a container has no network. */
  private static final Logger MAC_ADDRESS =
      Logger.getLogger("io.netty.util.internal.MacAddressUtil");

  private Logging() {}

  static void configure() {
    System.setProperty("java.util.logging.SimpleFormatter.format", "%4$s %3$s: %5$s%n");
    ROOT.setLevel(Level.WARNING);
    MAC_ADDRESS.setLevel(Level.SEVERE);
  }

  /** Turns logs off for a client, because its command prints the errors. */
  static void off() {
    ROOT.setLevel(Level.OFF);
  }
}
