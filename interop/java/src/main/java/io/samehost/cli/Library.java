package io.samehost.cli;

import io.grpc.Server;

/** The name and version of the gRPC library, for the ready line and the lock file. */
final class Library {
  static final String NAME = "grpc-java";

  static final String VERSION = Server.class.getPackage().getImplementationVersion();

  private Library() {}
}
