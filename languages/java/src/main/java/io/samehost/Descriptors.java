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

/** The descriptors of this process, whose numbers the JDK does not tell. */
final class Descriptors {
  private static final Path NUMBERS = Path.of("/proc/self/fd");

  /** What the system knows of each descriptor; a file begins with the position, proc(5). */
  private static final Path DETAILS = Path.of("/proc/self/fdinfo");

  private Descriptors() {}

  /**
   * Finds a path that leads to what a channel has open, whatever is done to its name, until the
   * channel is closed.
   *
   * <p>The channel gets a random position, and the descriptor that has it is the channel's. Device
   * and inode would not tell it from another descriptor of the same file, which somebody else may
   * close.
   *
   * @param channel of a file or a folder; its position is lost
   * @param path what it was opened with, which is returned where the system doesn't show positions,
   *     as gVisor does not
   * @throws IOException if the channel has no position, as a FIFO
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
      // There is no /proc.
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    return path;
  }

  /** Null where the descriptor was closed meanwhile. */
  private static String firstLine(Path details) {
    try (BufferedReader lines = Files.newBufferedReader(details)) {
      return lines.readLine();
    } catch (IOException e) {
      return null;
    }
  }
}
