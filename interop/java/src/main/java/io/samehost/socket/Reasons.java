package io.samehost.socket;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;

/** What the system's refusals are put down to, in error messages. */
final class Reasons {
  private Reasons() {}

  /** Why the system refused something; the JDK's own messages begin with the path, or are it. */
  static String of(IOException refusal) {
    if (refusal instanceof AccessDeniedException) {
      return "Permission denied";
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
        Map<String, Object> found = Files.readAttributes(visible, "unix:uid,gid,mode");
        return "%s belongs to uid %s and gid %s with mode %04o, and this process is %s"
            .formatted(
                visible,
                found.get("uid"),
                found.get("gid"),
                (Integer) found.get("mode") & 07777,
                thisProcess());
      } catch (IOException e) {
        // It can't be seen; the folder above decides about it.
      }
    }
    return "nothing above " + path + " can be seen";
  }

  /** The JDK has no geteuid(); proc(5) has real, effective, saved and file system ids in a row. */
  private static String thisProcess() throws IOException {
    String uid = "?";
    TreeSet<Long> gids = new TreeSet<>();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      String[] words = line.split("\\s+");
      switch (words[0]) {
        case "Uid:" -> uid = words[2];
        case "Gid:" -> gids.add(Long.valueOf(words[2]));
        case "Groups:" -> {
          for (int i = 1; i < words.length; i++) {
            gids.add(Long.valueOf(words[i]));
          }
        }
        default -> {}
      }
    }
    return "uid %s with gids %s"
        .formatted(uid, String.join(" ", gids.stream().map(String::valueOf).toList()));
  }
}
