package io.samehost.cli;

import java.util.logging.Level;
import java.util.logging.Logger;

/** What the libraries log goes to stderr, one line each, from warnings up. */
final class Logging {
  private static final Logger ROOT = Logger.getLogger("");

  /** Netty warns here that a container has no network. */
  private static final Logger MAC_ADDRESS =
      Logger.getLogger("io.netty.util.internal.MacAddressUtil");

  private Logging() {}

  static void configure() {
    System.setProperty("java.util.logging.SimpleFormatter.format", "%4$s %3$s: %5$s%n");
    ROOT.setLevel(Level.WARNING);
    MAC_ADDRESS.setLevel(Level.SEVERE);
  }

  /** For a client, whose errors are told by the command itself. */
  static void off() {
    ROOT.setLevel(Level.OFF);
  }
}
