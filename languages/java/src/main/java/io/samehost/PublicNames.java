package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.Map;

/** The public names of a server's sockets. Other processes may remove or replace the files. */
final class PublicNames {
  private final Folder folder;
  private final String prefix;
  private final Map<String, Object> identities = new HashMap<>();

  /** Holds hard links to the sockets while a successor has the lock; null otherwise. */
  private PrivateFolder backup;

  /**
   * Starts without names.
   *
   * @param prefix the start of the names of private folders
   */
  PublicNames(Folder folder, String prefix) {
    this.folder = folder;
    this.prefix = prefix;
  }

  /** Renames a socket to its public name, and replaces a file that has this name. */
  void publish(Path socket, String name) throws IOException {
    identities.put(name, FileStatus.of(socket, LinkOption.NOFOLLOW_LINKS).identity());
    Files.move(socket, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }

  /** Whether the file at a path is the socket that this server published with this name. */
  boolean isOwn(String name, Path path) {
    return identities.get(name).equals(FileStatus.identityAt(path));
  }

  /** Removes the sockets that still belong to this server. The caller must hold the lock. */
  void remove() {
    for (String name : identities.keySet()) {
      try {
        if (isOwn(name)) {
          Files.delete(folder.resolve(name));
        }
      } catch (IOException e) {
        // Another process removed it.
      }
    }
  }

  /**
   * Creates hard links to the sockets for {@link #restore}. On a file system without hard links,
   * clients may not find this server after its successor dies. {@link RemovalWatch} notices that.
   */
  void backUp() {
    try {
      backup = PrivateFolder.create(folder, prefix);
      for (String name : identities.keySet()) {
        if (isOwn(name)) {
          Files.createLink(backup.resolve(name), folder.resolve(name));
        }
      }
    } catch (IOException e) {
      // The file system has no hard links.
    }
  }

  /** Gives the sockets their public names again after a successor took them and died. */
  void restore() {
    for (String name : identities.keySet()) {
      try {
        if (backup != null && !isOwn(name) && isFree(name)) {
          Files.move(backup.resolve(name), folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
        }
      } catch (IOException e) {
        // The socket has no hard link, or another process prevents the rename.
      }
    }
    removeBackup();
  }

  /** Removes the hard links. May be called again. */
  void removeBackup() {
    if (backup != null) {
      backup.close();
      backup = null;
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
