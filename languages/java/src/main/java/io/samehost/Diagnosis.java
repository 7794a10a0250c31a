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
        "a server answers at %s and was not ready within %s s; wait longer, or see its log"
            .formatted(socket.path(), wait.toMillis() / 1000.0));
  }

  private static void check(SocketPath socket, PathState state) throws SamehostException {
    Path path = socket.path();
    switch (state) {
      case ABSENT ->
          throw new NoServerException(
              Files.isDirectory(path.getParent())
                  ? "no socket at %s: start its server, or mount the folder that it serves in"
                      .formatted(path)
                  : "no socket at %s: there is no folder %s; create it or mount it here"
                      .formatted(path, path.getParent()));
      case STALE ->
          throw new NoServerException(
              "nobody listens on %s: its server is gone; start it again and it replaces the file"
                  .formatted(path));
      case FORBIDDEN ->
          throw new SamehostException(
              ("no permission to connect to %s: %s; connecting takes write permission:"
                      + " run in that group, or give the socket another group or mode")
                  .formatted(path, Reasons.permissions(path)),
              new AccessDeniedException(path.toString()));
      case NOT_A_SOCKET ->
          throw new NotSocketException(
              path + " is not a socket; give the path that the server was started with");
      case LIVE -> Handshake.check(socket);
    }
  }
}
