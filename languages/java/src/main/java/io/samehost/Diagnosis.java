package io.samehost;

import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Finds out why a server cannot be reached, because gRPC only reports UNAVAILABLE. */
public final class Diagnosis {
  private Diagnosis() {}

  /**
   * Checks a socket and connects to it. Returns if a gRPC server without TLS answers. Takes at most
   * 1 s.
   *
   * @throws NoServerException if the socket does not exist, or no server listens on it
   * @throws NotSocketException if the path names another kind of file
   * @throws NotGrpcException if the server does not speak HTTP/2 without TLS
   * @throws SamehostException if this process may not connect, with an {@link
   *     AccessDeniedException} as its cause, or if the status of the path cannot be read
   */
  public static void check(SocketPath socket) throws SamehostException {
    check(socket, PathState.of(socket));
  }

  /** Throws if a server that starts later would not help either. */
  static void checkThatWaitingHelps(SocketPath socket) throws SamehostException {
    PathState state = PathState.of(socket);
    if (state == PathState.NOT_A_SOCKET || state == PathState.FORBIDDEN) {
      check(socket, state);
    }
  }

  static SamehostException notReady(SocketPath socket, Duration wait) throws SamehostException {
    check(socket);
    return new SamehostException(
        "cannot connect to %s: the server was not ready within %s s; wait longer, or check its log"
            .formatted(socket.path(), wait.toMillis() / 1000.0));
  }

  private static void check(SocketPath socket, PathState state) throws SamehostException {
    Path path = socket.path();
    switch (state) {
      case ABSENT ->
          throw new NoServerException(
              Files.isDirectory(path.getParent())
                  ? ("cannot connect to %s: no socket exists there;"
                          + " start the server, or mount the folder that it uses")
                      .formatted(path)
                  : "cannot connect to %s: the folder %s does not exist; check the path or mount it"
                      .formatted(path, path.getParent()));
      case STALE ->
          throw new NoServerException(
              ("cannot connect to %s: no server listens on it;"
                      + " start the server again, which replaces the file")
                  .formatted(path));
      case FORBIDDEN ->
          throw new SamehostException(
              ("cannot connect to %s: permission denied: %s;"
                      + " join that group, or change the group or mode of the socket")
                  .formatted(path, Reasons.permissions(path)),
              new AccessDeniedException(path.toString()));
      case NOT_A_SOCKET ->
          throw new NotSocketException(
              ("cannot connect to %s: it is not a socket;"
                      + " use the path that the server was started with")
                  .formatted(path));
      case LIVE -> Handshake.check(socket);
    }
  }
}
