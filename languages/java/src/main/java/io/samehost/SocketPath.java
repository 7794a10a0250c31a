package io.samehost;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * The absolute path of a socket, with at most 107 bytes.
 *
 * @param path a path without {@code %}, {@code ?}, {@code #}, {@code ,} and control characters,
 *     because gRPC libraries read them differently
 */
public record SocketPath(Path path) {

  /** {@code sun_path} of Linux (unix(7)) has 108 bytes, including the final NUL. */
  private static final int MAX_BYTES = 107;

  private static final String SCHEME = "unix:";

  /**
   * gRPC reads an address as a URI, where these characters start an escape, a query, a fragment and
   * another address (grpc/grpc doc/naming.md). Only some libraries decode them.
   */
  private static final String RESERVED = "%?#,";

  /**
   * Checks the path.
   *
   * @throws IllegalArgumentException if the path is invalid
   */
  public SocketPath {
    check(path.toString(), path.toString());
  }

  /**
   * Reads {@code unix:/absolute/path}, {@code unix:///absolute/path} or a plain absolute path.
   *
   * @throws IllegalArgumentException if the address is invalid
   */
  public static SocketPath of(String address) {
    String path = address.startsWith(SCHEME) ? address.substring(SCHEME.length()) : address;
    if (path.startsWith("///")) {
      path = path.substring(2);
    }
    check(path, address); // before Path.of, which removes slashes
    try {
      return new SocketPath(Path.of(path));
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException(
          message(address, "this locale cannot encode the path; set LC_ALL=C.UTF-8"), e);
    }
  }

  private static void check(String path, String address) {
    String fault = fault(path);
    if (fault != null) {
      throw new IllegalArgumentException(message(address, fault));
    }
  }

  private static String message(String address, String fault) {
    return "invalid socket address '%s': %s".formatted(address, fault);
  }

  private static String fault(String path) {
    if (path.isEmpty()) {
      return "the path is empty; use unix:/absolute/path";
    }
    if (path.startsWith("//")) {
      return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path";
    }
    if (!path.startsWith("/")) {
      return "the path is not absolute; use unix:/absolute/path";
    }
    if (path.endsWith("/") || path.endsWith("/.") || path.endsWith("/..")) {
      return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
    }
    OptionalInt reserved = path.chars().filter(SocketPath::isReserved).findFirst();
    if (reserved.isPresent()) {
      int character = reserved.getAsInt();
      return "gRPC libraries read %s in a path differently; use a path without it"
          .formatted((Character.isISOControl(character) ? "U+%04X" : "'%c'").formatted(character));
    }
    if (!fits(path)) {
      return "the path has %d bytes, and a socket can have %d; use a shorter path"
          .formatted(path.getBytes(UTF_8).length, MAX_BYTES);
    }
    return null;
  }

  private static boolean isReserved(int character) {
    return RESERVED.indexOf(character) >= 0 || Character.isISOControl(character);
  }

  /** Returns whether the path is short enough for a socket. */
  static boolean fits(String path) {
    return path.getBytes(UTF_8).length <= MAX_BYTES;
  }

  DomainSocketAddress address() {
    return new DomainSocketAddress(path.toString());
  }

  /** Returns the last part of the path. */
  String name() {
    return path.getFileName().toString();
  }

  /** Returns the address, {@code unix:/absolute/path}. */
  @Override
  public String toString() {
    return SCHEME + path;
  }
}
