package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.Map;

/** The names by which others find a server's sockets, and may remove or replace them. */
final class PublicNames {
  private final Folder folder;
  private final String prefix;
  private final Map<String, Object> identities = new HashMap<>();

  /** Where the sockets have further names while a successor has the lock; null otherwise. */
  private PrivateFolder kept;

  /**
   * None yet.
   *
   * @param prefix how the names of private folders begin
   */
  PublicNames(Folder folder, String prefix) {
    this.folder = folder;
    this.prefix = prefix;
  }

  /** Renames a socket, in the place of what has the name. */
  void give(Path socket, String name) throws IOException {
    identities.put(name, FileStatus.of(socket, LinkOption.NOFOLLOW_LINKS).identity());
    Files.move(socket, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }

  /** Whether the socket with this name is at a path. */
  boolean isOwn(String name, Path path) {
    return identities.get(name).equals(FileStatus.identityAt(path));
  }

  /** Removes what is still the server's own; only who holds the lock may. */
  void remove() {
    for (String name : identities.keySet()) {
      try {
        if (isOwn(name)) {
          Files.delete(folder.resolve(name));
        }
      } catch (IOException e) {
        // Someone has removed it.
      }
    }
  }

  /**
   * Gives the sockets further names, for {@link #restore}. Where the file system has no hard links,
   * a server whose successor dies may not be found any more, which {@link RemovalWatch} notices.
   */
  void keep() {
    try {
      kept = PrivateFolder.create(folder, prefix);
      for (String name : identities.keySet()) {
        if (isOwn(name)) {
          Files.createLink(kept.resolve(name), folder.resolve(name));
        }
      }
    } catch (IOException e) {
      // See above.
    }
  }

  /** Gives the sockets their names again, where a successor has died that had taken them. */
  void restore() {
    for (String name : identities.keySet()) {
      try {
        if (kept != null && !isOwn(name) && isFree(name)) {
          Files.move(kept.resolve(name), folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
        }
      } catch (IOException e) {
        // It was not kept, or someone hinders it.
      }
    }
    forgetKept();
  }

  /** Removes the further names; may be repeated. */
  void forgetKept() {
    if (kept != null) {
      kept.close();
      kept = null;
    }
  }

  private boolean isOwn(String name) {
    return isOwn(name, folder.resolve(name));
  }

  private boolean isFree(String name) throws IOException {
    PathState state = PathState.at(folder, name);
    return state == PathState.ABSENT || state == PathState.STALE;
  }
}
