package io.samehost.socket;

/** Another server has the path. */
final class SocketInUseException extends SamehostException {
  private static final long serialVersionUID = 1;

  SocketInUseException(String message) {
    super(message);
  }
}
