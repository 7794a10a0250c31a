package io.samehost;

/** No server listens: the socket does not exist, or its server is gone. */
public final class NoServerException extends SamehostException {
  private static final long serialVersionUID = 1;

  NoServerException(String message) {
    super(message);
  }
}
