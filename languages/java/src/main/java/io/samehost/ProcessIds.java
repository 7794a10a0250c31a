package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedSet;
import java.util.TreeSet;

/** The user and the groups whose permissions this process has. */
record ProcessIds(int uid, SortedSet<Long> gids) {

  /**
   * Reads the effective ids from {@code /proc}, because the JDK has no geteuid(). Each line has the
   * real, effective, saved and file system id (proc(5)).
   */
  static ProcessIds effective() throws IOException {
    int uid = 0;
    SortedSet<Long> gids = new TreeSet<>();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      String[] words = line.split("\\s+");
      switch (words[0]) {
        case "Uid:" -> uid = Integer.parseUnsignedInt(words[2]);
        case "Gid:" -> gids.add(Long.valueOf(words[2]));
        case "Groups:" -> {
          for (int i = 1; i < words.length; i++) {
            gids.add(Long.valueOf(words[i]));
          }
        }
        default -> {}
      }
    }
    return new ProcessIds(uid, Collections.unmodifiableSortedSet(gids));
  }

  @Override
  public String toString() {
    return "uid %s with gids %s"
        .formatted(
            Integer.toUnsignedString(uid),
            String.join(" ", gids.stream().map(String::valueOf).toList()));
  }
}
