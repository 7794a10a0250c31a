package io.samehost;

/** The file at the path is not a socket. */
public final class NotSocketException extends SamehostException {
  private static final long serialVersionUID = 1;

  NotSocketException(String message) {
    super(message);
  }
}
