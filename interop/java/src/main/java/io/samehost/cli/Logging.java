package io.samehost.cli;

import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;

/** What the libraries log goes to stderr, one line each, from warnings up. */
final class Logging {
  private static final Logger ROOT = Logger.getLogger("");

  /**
   * The first warns on each connection that a socket has no SO_KEEPALIVE, which grpc-java always
   * sets; the second that a container has no network.
   */
  private static final List<Logger> QUIETER =
      Stream.of("io.netty.bootstrap.ServerBootstrap", "io.netty.util.internal.MacAddressUtil")
          .map(Logger::getLogger)
          .toList();

  private Logging() {}

  static void configure() {
    System.setProperty("java.util.logging.SimpleFormatter.format", "%4$s %3$s: %5$s%n");
    ROOT.setLevel(Level.WARNING);
    QUIETER.forEach(logger -> logger.setLevel(Level.SEVERE));
  }

  /** For a client, whose errors are told by the command itself. */
  static void off() {
    ROOT.setLevel(Level.OFF);
  }
}
