package io.samehost;

import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Finds out why a server cannot be reached, where gRPC says UNAVAILABLE and nothing more. */
public final class Diagnosis {
  private Diagnosis() {}

  /**
   * Looks at a path and dials it; returns where a gRPC server without TLS answers. Takes a second
   * at most.
   *
   * @throws NoServerException if there is no socket, or nobody listens on it
   * @throws NotSocketException if another kind of file is at the path
   * @throws NotGrpcException if whoever listens does not speak HTTP/2
   * @throws SamehostException if this process may not connect, because of an {@link
   *     AccessDeniedException}, or cannot look
   */
  public static void check(SocketPath socket) throws SamehostException {
    check(socket, PathState.of(socket));
  }

  /** Fails where a server that starts later would not help either. */
  static void refuseWhatWaitingCannotCure(SocketPath socket) throws SamehostException {
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
                  : "cannot connect to %s: the folder %s does not exist; create it or mount it"
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
