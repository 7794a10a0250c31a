package io.samehost;

import java.io.IOException;

/**
 * A server cannot listen on a path, or a client cannot reach one there.
 *
 * <p>The message is one line, with the path, the cause and the remedy. Catch a subclass to handle
 * one cause. Where the system refused something, {@link #getCause} is its exception, such as {@link
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
