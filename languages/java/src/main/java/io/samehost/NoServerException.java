package io.samehost;

/** No server listens: there is no socket, or its server is gone. */
public final class NoServerException extends SamehostException {
  private static final long serialVersionUID = 1;

  NoServerException(String message) {
    super(message);
  }
}
