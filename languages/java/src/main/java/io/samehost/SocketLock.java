package io.samehost;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The exclusive lock on a file beside the socket, which keeps two servers from one path.
 *
 * <p>It is a record lock of fcntl(2), the only kind in the JDK. A record lock and a flock(2) do not
 * see each other, so servers in other languages take both. The system releases the lock when the
 * process dies.
 *
 * <p>The file stays. If it were removed, one server could lock the removed file while the next
 * server locks a new one. Its text about the owner is only for error messages.
 */
final class SocketLock implements AutoCloseable {

  /**
   * The folder and name of each file that this process has locked. Such a file must not be opened
   * again: the process loses the lock when it closes any descriptor of the file (fcntl(2), and
   * {@link FileLock} under "Platform dependencies").
   */
  private static final Set<List<Object>> HELD = ConcurrentHashMap.newKeySet();

  private static final int MODE = 0600;
  private static final int ROOT = 0;

  private static final int MAX_RECORD_BYTES = 4096;

  private final SocketPath socket;
  private final Path path;
  private final List<Object> held;
  private final FileChannel file;

  private SocketLock(SocketPath socket, Path path, List<Object> held, FileChannel file) {
    this.socket = socket;
    this.path = path;
    this.held = held;
    this.file = file;
  }

  /**
   * Takes the lock of a socket, without waiting.
   *
   * @param folder the folder of the socket
   * @param owner the name of this server in the file
   * @throws SocketInUseException if another server holds the lock
   */
  static SocketLock take(Folder folder, SocketPath socket, String owner) throws SamehostException {
    Path path = Path.of(socket.path() + ".lock");
    Path name = folder.resolve(path.getFileName().toString());
    List<Object> held = List.of(folder.status().identity(), path.getFileName());
    if (!HELD.add(held)) {
      throw inUse(socket, path, "this process");
    }
    SocketLock lock = null;
    try {
      lock = new SocketLock(socket, path, held, open(name, socket, path));
      lock.keepOthersFromLocking(name, folder.status().uid());
      lock.lock();
      lock.write(owner);
      return lock;
    } catch (SamehostException e) {
      if (lock == null) {
        HELD.remove(held);
      } else {
        lock.close();
      }
      throw e;
    }
  }

  /** Releases the lock. */
  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      // The system releases the lock anyway.
    }
    HELD.remove(held);
  }

  /** Opens the file for reading and writing, because that does not block if it is a FIFO. */
  private static FileChannel open(Path name, SocketPath socket, Path path)
      throws LockFileException {
    try {
      return FileChannel.open(
          name,
          Set.of(
              StandardOpenOption.READ,
              StandardOpenOption.WRITE,
              StandardOpenOption.CREATE,
              LinkOption.NOFOLLOW_LINKS),
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    } catch (IOException e) {
      throw isOtherThanRegularFile(name) ? notRegular(socket, path) : cannotOpen(socket, path, e);
    }
  }

  private static boolean isOtherThanRegularFile(Path name) {
    try {
      return !FileStatus.of(name, LinkOption.NOFOLLOW_LINKS).isRegularFile();
    } catch (IOException e) {
      return false;
    }
  }

  /**
   * Ensures that no other user can lock the file, because every user who can open it can lock it.
   * Refuses a file with a second name, because it may hold the data of another program.
   */
  private void keepOthersFromLocking(Path name, int folderOwner) throws LockFileException {
    try {
      List<Integer> owners = List.of(ROOT, folderOwner, ProcessIds.effective().uid());
      // By name first, because a FIFO's descriptor cannot be found. Then again, if it was replaced.
      checkThatItIsOurs(FileStatus.of(name, LinkOption.NOFOLLOW_LINKS), owners);
      Path opened = Descriptors.pathTo(file, name);
      FileStatus found = FileStatus.of(opened);
      checkThatItIsOurs(found, owners);
      if (found.permissions() != MODE) { // because of the umask, or a chmod
        narrow(opened, found.permissions());
      }
    } catch (LockFileException e) {
      throw e;
    } catch (IOException e) {
      throw cannotOpen(socket, path, e);
    }
  }

  private void narrow(Path opened, int permissions) throws LockFileException {
    try {
      Files.setAttribute(opened, "unix:mode", MODE);
    } catch (IOException e) {
      throw new LockFileException(
          ("cannot listen on %s: %s has mode %04o, so that other users could lock it: %s;"
                  + " run chmod %o %s")
              .formatted(socket.path(), path, permissions, Reasons.of(e), MODE, path),
          e);
    }
  }

  private void checkThatItIsOurs(FileStatus found, List<Integer> owners) throws LockFileException {
    if (!found.isRegularFile() || found.links() != 1) {
      throw notRegular(socket, path);
    }
    if (!owners.contains(found.uid())) {
      throw new LockFileException(
          ("cannot listen on %s: %s belongs to uid %s, who could block this server;"
                  + " remove it or use a folder that only this user can write to")
              .formatted(socket.path(), path, Integer.toUnsignedString(found.uid())));
    }
  }

  private void lock() throws SamehostException {
    FileLock lock;
    try {
      lock = file.tryLock();
    } catch (OverlappingFileLockException e) {
      throw inUse(socket, path, "this process");
    } catch (IOException e) {
      throw new LockFileException(
          "cannot listen on %s: cannot lock %s: %s; use a file system that has locks"
              .formatted(socket.path(), path, Reasons.of(e)),
          e);
    }
    if (lock == null) {
      throw inUse(socket, path, ownerOrAnother());
    }
  }

  private void write(String owner) throws LockFileException {
    try {
      if (file.size() > 0 && owner() == null) {
        throw new LockFileException(
            ("cannot listen on %s: %s holds the data of another program;"
                    + " move it or use another path")
                .formatted(socket.path(), path));
      }
      JsonObject record = new JsonObject();
      record.addProperty("pid", ProcessHandle.current().pid());
      record.addProperty("host", hostName());
      record.addProperty("implementation", owner);
      file.truncate(0);
      file.write(ByteBuffer.wrap((record + "\n").getBytes(UTF_8)), 0);
    } catch (LockFileException e) {
      throw e;
    } catch (IOException e) {
      throw new LockFileException(
          "cannot listen on %s: cannot write %s: %s; free space on its file system"
              .formatted(socket.path(), path, Reasons.of(e)),
          e);
    }
  }

  private String ownerOrAnother() {
    try {
      String owner = owner();
      return owner == null ? "another process" : owner;
    } catch (IOException e) {
      return "another process";
    }
  }

  /** Returns the owner that the file names; null if no server wrote it. */
  private String owner() throws IOException {
    ByteBuffer text = ByteBuffer.allocate(MAX_RECORD_BYTES);
    file.read(text, 0);
    try {
      JsonObject owner =
          new Gson().fromJson(UTF_8.decode(text.flip()).toString(), JsonObject.class);
      return "%s, process %s on host %s,"
          .formatted(
              owner.getAsJsonPrimitive("implementation").getAsString(),
              owner.getAsJsonPrimitive("pid").getAsString(),
              owner.getAsJsonPrimitive("host").getAsString());
    } catch (JsonParseException | NullPointerException | ClassCastException e) {
      return null;
    }
  }

  /** Returns the name of gethostname(2). The JDK's method needs a network. */
  private static String hostName() throws IOException {
    return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
  }

  private static SocketInUseException inUse(SocketPath socket, Path path, String owner) {
    return new SocketInUseException(
        ("cannot listen on %s: %s holds %s;"
                + " stop that server, replace it with takeover, or use another path")
            .formatted(socket.path(), owner, path));
  }

  private static LockFileException cannotOpen(SocketPath socket, Path path, IOException cause) {
    return new LockFileException(
        ("cannot listen on %s: cannot open %s: %s: %s;"
                + " start this server as that user, or use a folder with write permission and space")
            .formatted(socket.path(), path, Reasons.of(cause), Reasons.permissions(path)),
        cause);
  }

  private static LockFileException notRegular(SocketPath socket, Path path) {
    return new LockFileException(
        ("cannot listen on %s: %s is not a regular file with one name;"
                + " remove it or use another path")
            .formatted(socket.path(), path));
  }
}
