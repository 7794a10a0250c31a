package io.samehost.cli;

import io.grpc.Server;

/** The gRPC library, as the ready line and the lock file name it. */
final class Library {
  static final String NAME = "grpc-java";

  static final String VERSION = Server.class.getPackage().getImplementationVersion();

  private Library() {}
}
