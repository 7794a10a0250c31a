package io.samehost;

import java.io.IOException;

/**
 * A server cannot listen on a path, or a client cannot connect to it.
 *
 * <p>The message is one line with the path, the cause and the remedy. Catch a subclass to handle
 * one cause. If the system refused an operation, {@link #getCause} is its exception, such as {@link
 * java.nio.file.AccessDeniedException}.
 */
public class SamehostException extends IOException {
  private static final long serialVersionUID = 1;

  SamehostException(String message) {
    super(message);
  }

  SamehostException(String message, IOException cause) {
    super(message, cause);
  }
}
