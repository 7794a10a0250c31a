package io.samehost;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** What the system's refusals are put down to, in error messages. */
final class Reasons {
  private Reasons() {}

  /** Why the system refused something; the JDK's own messages begin with the path, or are it. */
  static String of(IOException refusal) {
    if (refusal instanceof AccessDeniedException) {
      return "Permission denied";
    }
    if (refusal instanceof NoSuchFileException) {
      return "No such file or directory";
    }
    if (refusal instanceof FileAlreadyExistsException) {
      return "File exists";
    }
    if (refusal instanceof FileSystemException e && e.getReason() != null) {
      return e.getReason();
    }
    return String.valueOf(refusal.getMessage());
  }

  /** Whose the path is (or, where it can't be seen, the folder above), its mode, and who asks. */
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
        // It can't be seen; the folder above decides about it.
      }
    }
    return "nothing above " + path + " can be seen";
  }
}
