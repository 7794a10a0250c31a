package io.samehost;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Describes errors of the system in error messages. */
final class Reasons {

  /** Netty's message is "bind(..) failed with error(-13): Permission denied", or longer. */
  private static final Pattern NETTY = Pattern.compile("failed with error\\(-\\d+\\): ([^:]+)");

  private Reasons() {}

  /** Returns the system's text, such as "permission denied". The JDK and Netty add more to it. */
  static String of(Throwable error) {
    String text = textOf(error);
    return text.substring(0, 1).toLowerCase(Locale.ROOT) + text.substring(1);
  }

  private static String textOf(Throwable error) {
    if (error instanceof AccessDeniedException) {
      return "permission denied";
    }
    if (error instanceof NoSuchFileException || error instanceof FileNotFoundException) {
      return "no such file or directory";
    }
    if (error instanceof FileAlreadyExistsException) {
      return "file exists";
    }
    if (error instanceof FileSystemException e && e.getReason() != null) {
      return e.getReason();
    }
    if (error.getMessage() == null || error.getMessage().isEmpty()) {
      return error.toString();
    }
    Matcher netty = NETTY.matcher(error.getMessage());
    return netty.find() ? netty.group(1) : error.getMessage();
  }

  /** Describes the ids and mode of the path, or of a visible folder above it, and our ids. */
  static String permissions(Path path) {
    for (Path visible = path; visible != null; visible = visible.getParent()) {
      try {
        FileStatus found = FileStatus.of(visible);
        return "%s belongs to uid %s and gid %s with mode %04o, and this process is %s"
            .formatted(
                visible,
                Integer.toUnsignedString(found.uid()),
                Integer.toUnsignedString(found.gid()),
                found.permissions(),
                ProcessIds.effective());
      } catch (IOException e) {
        // This process cannot see it. The folder above decides on access.
      }
    }
    return "nothing above " + path + " can be seen";
  }
}
