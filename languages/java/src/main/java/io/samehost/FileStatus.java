package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Map;

/**
 * The result of stat(2), because the JDK has methods only for a part of it.
 *
 * @param identity device and inode; a new file with the same name has another identity
 */
record FileStatus(Object identity, int mode, int uid, int gid, int links) {

  /** File types in the mode of inode(7). */
  private static final int S_IFMT = 0170000;

  private static final int S_IFSOCK = 0140000;
  private static final int S_IFREG = 0100000;

  private static final int S_ISVTX = 01000;
  private static final int S_IWOTH = 0002;
  private static final int GROUP_AND_OTHERS = 0077;

  static FileStatus of(Path path, LinkOption... options) throws IOException {
    Map<String, Object> found =
        Files.readAttributes(path, "unix:fileKey,mode,uid,gid,nlink", options);
    return new FileStatus(
        found.get("fileKey"),
        (Integer) found.get("mode"),
        (Integer) found.get("uid"),
        (Integer) found.get("gid"),
        (Integer) found.get("nlink"));
  }

  /** Returns the identity of a file or link; null if its status cannot be read. */
  static Object identityAt(Path path) {
    try {
      return of(path, LinkOption.NOFOLLOW_LINKS).identity;
    } catch (IOException e) {
      return null;
    }
  }

  /** Like {@link #identityAt}, but also differs if a new file got the inode of a removed one. */
  static Object revisionAt(Path path) {
    try {
      return Files.readAttributes(path, "unix:fileKey,lastModifiedTime", LinkOption.NOFOLLOW_LINKS);
    } catch (IOException e) {
      return null;
    }
  }

  boolean isSocket() {
    return (mode & S_IFMT) == S_IFSOCK;
  }

  boolean isRegularFile() {
    return (mode & S_IFMT) == S_IFREG;
  }

  int permissions() {
    return mode & ~S_IFMT;
  }

  /** Whether every user may remove and rename the files of others in this folder (unlink(2)). */
  boolean letsEveryoneReplace() {
    return (mode & S_IWOTH) != 0 && (mode & S_ISVTX) == 0;
  }

  /** Whether only this user has permissions. */
  boolean isPrivateTo(int user) {
    return uid == user && (mode & GROUP_AND_OTHERS) == 0;
  }
}
