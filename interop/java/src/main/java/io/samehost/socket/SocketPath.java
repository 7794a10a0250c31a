package io.samehost.socket;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** Where a server listens, written {@code unix:/absolute/path}. */
public record SocketPath(Path path) {

  /** {@code sun_path} of Linux's unix(7) has 108 bytes, one of them the final NUL. */
  static final int MAX_BYTES = 107;

  private static final String SCHEME = "unix:";

  /**
   * gRPC reads an address as a URI, in which these begin an escape, a query, a fragment and the
   * next of several addresses (grpc/grpc doc/naming.md); libraries differ in whether they undo it.
   */
  private static final String RESERVED = "%?#,";

  /**
   * Reads {@code unix:/absolute/path}, {@code unix:///absolute/path} or a plain absolute path.
   *
   * @throws IllegalArgumentException if no socket can be there; the message is for the user
   */
  public static SocketPath parse(String address) {
    String path = address.startsWith(SCHEME) ? address.substring(SCHEME.length()) : address;
    if (path.startsWith("///")) {
      path = path.substring(2);
    }
    String fault = fault(path);
    if (fault != null) {
      throw new IllegalArgumentException("bad socket address '%s': %s".formatted(address, fault));
    }
    try {
      return new SocketPath(Path.of(path));
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException(
          "bad socket address '%s': this locale can't write it; set LC_ALL=C.UTF-8"
              .formatted(address),
          e);
    }
  }

  private static String fault(String path) {
    int size = path.getBytes(UTF_8).length;
    if (path.isEmpty()) {
      return "the path is empty; write unix:/absolute/path";
    }
    if (path.startsWith("//")) {
      return "two slashes make the next word a host;"
          + " write unix:/absolute/path or unix:///absolute/path";
    }
    if (!path.startsWith("/")) {
      return "the path is not absolute; write unix:/absolute/path";
    }
    if (path.endsWith("/") || path.endsWith("/.") || path.endsWith("/..")) {
      return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
    }
    if (path.chars().anyMatch(c -> RESERVED.indexOf(c) >= 0 || Character.isISOControl(c))) {
      return "the path contains one of %?#, or a control character, which gRPC libraries do not all"
          + " read alike; choose a path without it";
    }
    if (size > MAX_BYTES) {
      return "the path has %d bytes and a Unix socket's may have %d; choose a shorter one"
          .formatted(size, MAX_BYTES);
    }
    return null;
  }

  DomainSocketAddress address() {
    return new DomainSocketAddress(path.toString());
  }

  @Override
  public String toString() {
    return SCHEME + path;
  }
}
