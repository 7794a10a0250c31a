package io.samehost;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.SecureRandom;

/** Finds the descriptors of this process, because the JDK does not expose their numbers. */
final class Descriptors {
  private static final Path NUMBERS = Path.of("/proc/self/fd");

  /** The state of each descriptor. Each file starts with the position (proc(5)). */
  private static final Path DETAILS = Path.of("/proc/self/fdinfo");

  private Descriptors() {}

  /**
   * Finds a path to the open file of a channel. The path stays valid until the channel is closed,
   * even if the file is renamed.
   *
   * <p>The channel gets a random position, and the descriptor with this position belongs to the
   * channel. Device and inode cannot identify it, because the process may have another descriptor
   * of the same file, and its owner may close it.
   *
   * @param channel a file or a folder; its position changes
   * @param path the path that was opened; returned if the system does not show positions, as gVisor
   *     does not
   * @throws IOException if the channel has no position, as with a FIFO
   */
  static Path pathTo(FileChannel channel, Path path) throws IOException {
    long mark = 1L + new SecureRandom().nextInt(Integer.MAX_VALUE);
    channel.position(mark);
    String wanted = "pos:\t" + mark;
    try (DirectoryStream<Path> all = Files.newDirectoryStream(DETAILS)) {
      for (Path each : all) {
        if (wanted.equals(firstLine(each))) {
          return NUMBERS.resolve(each.getFileName());
        }
      }
    } catch (NoSuchFileException e) {
      // The system has no /proc.
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    return path;
  }

  /** Returns null if the descriptor was closed in the meantime. */
  private static String firstLine(Path details) {
    try (BufferedReader lines = Files.newBufferedReader(details)) {
      return lines.readLine();
    } catch (IOException e) {
      return null;
    }
  }
}
