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

/** A folder for sockets in another one, which nobody but this user may enter. */
final class PrivateFolder implements Closeable {
  private static final int S_ISGID = 02000;
  private static final int OWNER = 0700;

  /** Hexadecimal, so that two paths of one folder find each other's once in 4 billion. */
  private static final int DIGEST_DIGITS = 8;

  private final Folder parent;
  private final String name;
  private final Folder folder;

  private PrivateFolder(Folder parent, String name, Folder folder) {
    this.parent = parent;
    this.name = name;
    this.folder = folder;
  }

  /** How the names of a socket's private folders begin, which depends on its name alone. */
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
   * Creates one with a random name.
   *
   * @param prefix how the name begins, so that {@link #sweep} finds it when its server was killed
   */
  static PrivateFolder create(Folder parent, String prefix) throws IOException {
    String name = prefix + randomName();
    Files.createDirectory(
        parent.resolve(name),
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    PrivateFolder created;
    try {
      created = open(parent, name);
    } catch (IOException e) { // the thread is interrupted, or no descriptor is left
      Files.deleteIfExists(parent.resolve(name));
      throw e;
    }
    try {
      int mode = created.folder.status().permissions();
      // The umask may have taken some. Otherwise the mode is left alone: chmod(2) may clear the bit
      // by which a folder hands its group down.
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
   * Removes those that servers have left which were killed. The caller holds the lock of the path,
   * and no predecessor keeps names in one.
   */
  static void sweep(Folder parent, String prefix) {
    for (String name : namesIn(parent)) {
      if (name.startsWith(prefix)) {
        try {
          open(parent, name).close();
        } catch (IOException e) {
          // It is somebody else's, or no folder.
        }
      }
    }
  }

  /** Enough names that nobody can create all of them first: 8 hexadecimal digits. */
  static String randomName() {
    return HexFormat.of().toHexDigits(new SecureRandom().nextInt());
  }

  Path resolve(String name) {
    return folder.resolve(name);
  }

  /** Removes the folder and the sockets in it; may be repeated. */
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
      // The next server of this path sweeps it away.
    }
  }

  /** Refuses what this user has not made, and a link wherever it leads to. */
  private static PrivateFolder open(Folder parent, String name) throws IOException {
    Path path = parent.resolve(name);
    Object identity = FileStatus.of(path, LinkOption.NOFOLLOW_LINKS).identity();
    Folder folder = Folder.open(path);
    try {
      FileStatus found = folder.status();
      if (!found.identity().equals(identity) || !found.isPrivateTo(ProcessIds.effective().uid())) {
        throw new FileSystemException(name, null, "someone replaced " + name);
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
        // It has gone already, or keeps the folder, which is left then.
      }
    }
  }

  /** Nothing where a folder may be written to, but not read. */
  private static List<String> namesIn(Folder folder) {
    try {
      return folder.names();
    } catch (IOException | UncheckedIOException e) {
      return List.of();
    }
  }
}
