package io.samehost;

import io.netty.channel.unix.DomainSocketAddress;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.logging.Logger;
import java.util.stream.Stream;

/**
 * A folder that is held open, so that nobody can replace it between two steps.
 *
 * <p>The JDK's {@code SecureDirectoryStream} cannot bind, link, create a folder, or change the mode
 * of a socket. Therefore all names are below {@code /proc/self/fd/N}. Every method accepts such a
 * path, and the system resolves it from the open descriptor.
 */
final class Folder implements Closeable {
  private static final Logger LOG = Logger.getLogger(Folder.class.getName());

  /** Kept because the garbage collector closes a channel without references. */
  private final FileChannel channel;

  /** The path that was opened. */
  private final Path path;

  /** A path to the folder that stays valid when the folder is renamed. */
  private final Path held;

  private final FileStatus status;

  private Folder(FileChannel channel, Path path) throws IOException {
    this.channel = channel;
    this.path = path;
    this.held = Descriptors.pathTo(channel, path);
    this.status = FileStatus.of(held);
  }

  /** Opens a folder. It must be readable, because the JDK has no O_PATH. */
  static Folder open(Path path) throws IOException {
    // The dot fails at once if this is not a folder. Opening a FIFO would wait for a writer.
    FileChannel channel = FileChannel.open(path.resolve("."), StandardOpenOption.READ);
    try {
      return new Folder(channel, path);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  /**
   * Opens the folder of a socket.
   *
   * @param trusted whether to accept, with a warning, a folder that every user may write to
   */
  static Folder of(SocketPath socket, boolean trusted) throws SamehostException {
    Path path = socket.path().getParent();
    Folder folder;
    try {
      folder = open(path);
    } catch (NoSuchFileException e) {
      throw new SamehostException(
          "cannot listen on %s: the folder %s does not exist; create it or mount it"
              .formatted(socket.path(), path),
          e);
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot listen on %s: cannot open its folder: %s: %s;"
                  + " give this process search permission, and read permission, which the JDK needs")
              .formatted(socket.path(), Reasons.of(e), Reasons.permissions(path)),
          e);
    }
    if (folder.status.letsEveryoneReplace()) {
      String fault =
          "every user can replace the socket, because %s has mode %04o"
              .formatted(path, folder.status.permissions());
      if (!trusted) {
        folder.close();
        throw new UnsafeFolderException(
            "cannot listen on %s: %s; run chmod o-w %s".formatted(socket.path(), fault, path));
      }
      LOG.warning("listening on %s, although %s".formatted(socket.path(), fault));
    }
    return folder;
  }

  /** Returns a path to a file in the folder, which stays valid when the folder is renamed. */
  Path resolve(String name) {
    return held.resolve(name);
  }

  /**
   * Returns the address for connecting to a socket in the folder. The path through the descriptor
   * may be longer than the user's path, and too long for a socket. Then the address has the user's
   * path, which is safe because connecting changes no file.
   */
  DomainSocketAddress addressOf(String name) {
    Path stable = resolve(name);
    Path address = SocketPath.fits(stable.toString()) ? stable : path.resolve(name);
    return new DomainSocketAddress(address.toString());
  }

  /** Returns the status that the folder had when it was opened. */
  FileStatus status() {
    return status;
  }

  List<String> names() throws IOException {
    try (Stream<Path> found = Files.list(held)) {
      return found.map(each -> each.getFileName().toString()).toList();
    }
  }

  boolean isOpen() {
    return channel.isOpen();
  }

  /** Closes the folder. May be called again. */
  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing was written.
    }
  }
}
