package io.samehost.socket;

/** It failed, and the message says in one line what, with which value, and the remedy. */
public class SamehostException extends Exception {
  private static final long serialVersionUID = 1;

  public SamehostException(String message) {
    super(message);
  }

  public SamehostException(String message, Throwable cause) {
    super(message, cause);
  }
}
