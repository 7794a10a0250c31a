package io.samehost.socket;

import io.grpc.Server;

/** The gRPC library, as the ready line and the lock file name it. */
public final class Library {
  public static final String NAME = "grpc-java";

  public static final String VERSION = Server.class.getPackage().getImplementationVersion();

  private Library() {}
}
