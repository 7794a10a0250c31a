package io.samehost.socket;

import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Why a server can't be reached, or a call failed, told apart and said in one line. */
public final class Diagnosis {
  private Diagnosis() {}

  /** Says what the status of a failed call means: why there is no server, or what it answered. */
  public static SamehostException explain(Status status, SocketPath socket)
      throws SamehostException {
    String details = status.getDescription() == null ? "no details" : status.getDescription();
    String reason =
        switch (status.getCode()) {
          case UNAVAILABLE, DEADLINE_EXCEEDED -> unreachable(socket);
          default -> null;
        };
    if (reason != null) {
      return new SamehostException(reason);
    }
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      return new SamehostException(
          "no answer from %s before the deadline: %s; give it more time, or see what keeps it"
              .formatted(socket, details));
    }
    return new SamehostException("%s answered %s: %s".formatted(socket, status.getCode(), details));
  }

  static SamehostException notReady(SocketPath socket, Duration wait) throws SamehostException {
    String reason = unreachable(socket);
    return new SamehostException(
        reason != null
            ? reason
            : "a server answers at %s and was not ready within %s s; wait longer, or see its log"
                .formatted(socket.path(), wait.toMillis() / 1000.0));
  }

  /** Fails where no server that starts later could help. */
  static void refuseWhatWaitingCannotCure(SocketPath socket) throws SamehostException {
    PathState state = PathState.of(socket);
    if (state == PathState.NOT_A_SOCKET || state == PathState.FORBIDDEN) {
      throw new SamehostException(reason(state, socket));
    }
  }

  /** Why no gRPC server can be reached, by looking and dialling; null where one answers. */
  private static String unreachable(SocketPath socket) throws SamehostException {
    return reason(PathState.of(socket), socket);
  }

  private static String reason(PathState state, SocketPath socket) {
    Path path = socket.path();
    return switch (state) {
      case ABSENT ->
          Files.isDirectory(path.getParent())
              ? "no socket at %s: start its server, or mount the folder that it serves in"
                  .formatted(path)
              : "no socket at %s: there is no folder %s; create it or mount it here"
                  .formatted(path, path.getParent());
      case STALE ->
          "nobody listens on %s: its server is gone; start it again and it replaces the file"
              .formatted(path);
      case FORBIDDEN ->
          ("no permission to connect to %s: %s; connecting takes write permission:"
                  + " run in that group, or serve with another --group or --mode")
              .formatted(path, Reasons.permissions(path));
      case NOT_A_SOCKET ->
          path + " is not a socket; give the path that the server was started with";
      case LIVE -> Handshake.fault(socket);
    };
  }
}
