package io.samehost;

/** Every user can replace the socket, because every user may write to its folder. */
public final class UnsafeFolderException extends SamehostException {
  private static final long serialVersionUID = 1;

  UnsafeFolderException(String message) {
    super(message);
  }
}
