package io.samehost;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;

/** A folder for sockets inside another folder. Only this user may enter it. */
final class PrivateFolder implements Closeable {
  private static final int S_ISGID = 02000;
  private static final int OWNER = 0700;

  /** Hexadecimal digits. Two sockets of a folder share them with a probability of 1 : 4 billion. */
  private static final int DIGEST_DIGITS = 8;

  private final Folder parent;
  private final String name;
  private final Folder folder;

  private PrivateFolder(Folder parent, String name, Folder folder) {
    this.parent = parent;
    this.name = name;
    this.folder = folder;
  }

  /** Returns the start of the names of a socket's private folders, a digest of its name. */
  static String prefix(SocketPath socket) {
    try {
      MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
      String digits = HexFormat.of().formatHex(sha256.digest(socket.name().getBytes(UTF_8)));
      return "." + digits.substring(0, DIGEST_DIGITS);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  /**
   * Creates a private folder with a random name.
   *
   * @param prefix the start of the name, so that {@link #sweep} finds the folder of a killed server
   */
  static PrivateFolder create(Folder parent, String prefix) throws IOException {
    String name = prefix + randomName();
    Files.createDirectory(
        parent.resolve(name),
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    PrivateFolder created;
    try {
      created = open(parent, name);
    } catch (IOException e) { // the thread was interrupted, or no descriptor is free
      Files.deleteIfExists(parent.resolve(name));
      throw e;
    }
    try {
      int mode = created.folder.status().permissions();
      // The umask may have removed permissions. Otherwise the mode stays as it is, because chmod(2)
      // may clear the set-gid bit, which gives the folder's group to new files.
      if ((mode & OWNER) != OWNER) {
        Files.setAttribute(created.resolve("."), "unix:mode", mode & S_ISGID | OWNER);
      }
    } catch (IOException e) {
      created.close();
      throw e;
    }
    return created;
  }

  /**
   * Removes the private folders of killed servers. The caller must hold the lock of the path, and
   * no predecessor may keep names in such a folder.
   */
  static void sweep(Folder parent, String prefix) {
    for (String name : namesIn(parent)) {
      if (name.startsWith(prefix)) {
        try {
          open(parent, name).close();
        } catch (IOException e) {
          // It belongs to another user, or is not a folder.
        }
      }
    }
  }

  /** Returns 8 hexadecimal digits, too many names for another user to create all of them. */
  static String randomName() {
    return HexFormat.of().toHexDigits(new SecureRandom().nextInt());
  }

  Path resolve(String name) {
    return folder.resolve(name);
  }

  /** Removes the folder and the sockets in it. May be called again. */
  @Override
  public void close() {
    if (!folder.isOpen()) {
      return;
    }
    try (folder) {
      removeSockets();
      Path path = parent.resolve(name);
      if (folder.status().identity().equals(FileStatus.identityAt(path))) {
        Files.delete(path);
      }
    } catch (IOException e) {
      // The next server on this path removes it.
    }
  }

  /** Opens a folder that is private to this user, and does not follow a link. */
  private static PrivateFolder open(Folder parent, String name) throws IOException {
    Path path = parent.resolve(name);
    Object identity = FileStatus.of(path, LinkOption.NOFOLLOW_LINKS).identity();
    Folder folder = Folder.open(path);
    try {
      FileStatus found = folder.status();
      if (!found.identity().equals(identity) || !found.isPrivateTo(ProcessIds.effective().uid())) {
        throw new FileSystemException(name, null, "another process replaced " + name);
      }
      return new PrivateFolder(parent, name, folder);
    } catch (IOException e) {
      folder.close();
      throw e;
    }
  }

  private void removeSockets() {
    for (String each : namesIn(folder)) {
      Path path = folder.resolve(each);
      try {
        if (FileStatus.of(path, LinkOption.NOFOLLOW_LINKS).isSocket()) {
          Files.delete(path);
        }
      } catch (IOException e) {
        // It is already gone, or it stays and so does the folder.
      }
    }
  }

  /** Returns no names if this process may not read the folder. */
  private static List<String> namesIn(Folder folder) {
    try {
      return folder.names();
    } catch (IOException | UncheckedIOException e) {
      return List.of();
    }
  }
}
