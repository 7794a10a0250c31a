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
 * A folder that is held open, so that nobody can put another in its place between two steps.
 *
 * <p>The JDK's {@code SecureDirectoryStream} would not do: it can't bind, link, create a folder, or
 * change the mode of a socket. So names are looked up in {@code /proc/self/fd/N}, which the system
 * resolves from the open descriptor, and which every method takes that takes a path.
 */
final class Folder implements Closeable {
  private static final Logger LOG = Logger.getLogger(Folder.class.getName());

  /** The collector closes a channel that nobody refers to. */
  private final FileChannel channel;

  /** What it was opened with. */
  private final Path path;

  /** Where it is, whatever is done to its name. */
  private final Path held;

  private final FileStatus status;

  private Folder(FileChannel channel, Path path) throws IOException {
    this.channel = channel;
    this.path = path;
    this.held = Descriptors.pathTo(channel, path);
    this.status = FileStatus.of(held);
  }

  /** Opens a folder, for which it must be readable: the JDK has no O_PATH. */
  static Folder open(Path path) throws IOException {
    // The dot refuses what is no folder at once: to open a FIFO would wait for whoever writes.
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
   * @param trusted whether a folder that every user may write to is accepted, with a warning
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
                  + " give this process search permission, and read permission for the JDK")
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

  /** A path to what has this name in the folder, wherever the folder is renamed to. */
  Path resolve(String name) {
    return held.resolve(name);
  }

  /**
   * Where to dial what has this name in the folder. A path through the descriptor may be longer
   * than the one that the user gave, and than a socket's may be. The user's is as good then, as to
   * dial is only to look.
   */
  DomainSocketAddress dialled(String name) {
    Path steady = resolve(name);
    Path fitting = SocketPath.fits(steady.toString()) ? steady : path.resolve(name);
    return new DomainSocketAddress(fitting.toString());
  }

  /** Of the folder itself, as it was opened. */
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

  /** May be repeated. */
  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing was written.
    }
  }
}
