package io.samehost;

import java.io.IOException;

/**
 * The lock file beside the socket cannot be used. For example, it holds other data, or another user
 * may lock it.
 */
public final class LockFileException extends SamehostException {
  private static final long serialVersionUID = 1;

  LockFileException(String message) {
    super(message);
  }

  LockFileException(String message, IOException cause) {
    super(message, cause);
  }
}
