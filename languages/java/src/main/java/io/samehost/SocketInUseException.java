package io.samehost;

/** Another server has the path, or may have it. */
public final class SocketInUseException extends SamehostException {
  private static final long serialVersionUID = 1;

  SocketInUseException(String message) {
    super(message);
  }
}
