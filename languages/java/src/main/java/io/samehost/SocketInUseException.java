package io.samehost;

/** Another server uses the path, or may use it. */
public final class SocketInUseException extends SamehostException {
  private static final long serialVersionUID = 1;

  SocketInUseException(String message) {
    super(message);
  }
}
