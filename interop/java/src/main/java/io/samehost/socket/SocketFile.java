package io.samehost.socket;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.samehost.socket.Takeover.Predecessor;
import io.samehost.socket.Takeover.Successors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.logging.Logger;
import java.util.stream.Stream;

/**
 * One server's hold on a path, as PROTOCOL.md has it: {@link #claim}, bind, {@link #publish},
 * serve, {@link #withdraw}.
 *
 * <p>The socket is bound in a private folder beside the path, which nobody else may enter, is given
 * its mode and group there, and is renamed onto the path when it serves. So whoever finds a file at
 * the path finds one that serves, and never one with a wider mode.
 */
final class SocketFile {

  /** Hexadecimal, so that two paths of one folder share a private folder once in 4 billion. */
  private static final int FOLDER_DIGITS = 8;

  /**
   * Random ones. Netty removes the name that it bound when it closes a socket, whatever is there by
   * then: a server that drains would take away what its successor has just bound.
   */
  private static final int NAME_DIGITS = 4;

  /**
   * How long to try for a lock that was just released: a third server may hold it while it finds
   * the path live.
   */
  private static final Duration RELEASED_LOCK_PATIENCE = Duration.ofSeconds(2);

  private static final Logger LOG = Logger.getLogger(SocketFile.class.getName());

  private final SocketPath socket;
  private final String implementation;
  private final CompletableFuture<Void> takenOver = new CompletableFuture<>();
  private final CompletableFuture<Void> removed = new CompletableFuture<>();
  private final Map<Path, Object> identities = new HashMap<>();
  private SocketPath bound;
  private Predecessor predecessor;
  private Successors successors;
  private RemovalWatch watch;
  private boolean withdrawn;

  /** Null while a successor may have it. */
  private SocketLock lock;

  SocketFile(SocketPath socket, String implementation) {
    this.socket = socket;
    this.implementation = implementation;
  }

  /**
   * Locks the path and returns the private one to bind.
   *
   * @param takeover whether a server that has the path is asked to hand it over
   */
  synchronized SocketPath claim(boolean takeover) throws SamehostException {
    bound = privatePath(socket.path());
    takeLock(takeover);
    refuseWhatIsNotStale();
    refuseForeignControl();
    makePrivateFolder();
    return bound;
  }

  /** Gives the bound socket its group and mode, and renames it; from now on it is found. */
  synchronized void publish(int mode, GroupPrincipal group) throws SamehostException {
    Path path = bound.path();
    SocketPath control = Takeover.controlPath(socket);
    try {
      if (group != null) {
        Files.setAttribute(path, "posix:group", group);
      }
      Files.setAttribute(path, "unix:mode", mode);
      if (control != null) {
        SocketPath boundControl = privateControlPath();
        successors =
            new Successors(
                boundControl, this::release, this::retake, () -> takenOver.complete(null));
        // Whoever may dial it could make this server go.
        Files.setAttribute(boundControl.path(), "unix:mode", 0600);
        rename(boundControl.path(), control.path());
      }
      rename(path, socket.path());
      Files.delete(path.getParent());
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot publish %s with mode %04o and group %s: %s; %s;"
                  + " only a group that this process is in can be given")
              .formatted(
                  socket.path(), mode, group, Reasons.of(e), Reasons.permissions(socket.path())),
          e);
    }
    // Only now: whoever hears of it may remove or rename what is beside the path.
    if (predecessor != null) {
      predecessor.tellPublished();
    }
    if (successors != null) {
      successors.answer();
    }
    watch = new RemovalWatch(this::isLost, this::lost);
  }

  /** Completes, in another thread, when a successor has taken the path over. */
  CompletionStage<Void> takenOver() {
    return takenOver;
  }

  /**
   * Completes, in another thread, when someone has removed the file or put another in its place.
   */
  CompletionStage<Void> removed() {
    return removed;
  }

  /** Whether the file is not there any more; without the lock, a successor may have the path. */
  synchronized boolean isLost() {
    return lock != null && !isOwn(socket.path());
  }

  /**
   * Removes the path where it is still this server's own, and releases the lock; may be repeated.
   */
  synchronized void withdraw() {
    withdrawn = true;
    if (watch != null) {
      watch.close();
    }
    if (successors != null) {
      successors.close();
    }
    // Without the lock, a successor could put its own there between the look and the removal.
    if (lock != null) {
      identities.keySet().forEach(this::removeIfOwn);
      try {
        removePrivateFolder();
      } catch (IOException e) {
        // The next server of this path clears it away.
      }
      lock.close();
      lock = null;
    }
    if (predecessor != null) {
      predecessor.close();
    }
  }

  private void lost() {
    LOG.warning(
        ("someone has removed %s, or put another in its place: no new client finds this server;"
                + " start it again, and leave the file alone")
            .formatted(socket.path()));
    removed.complete(null);
  }

  private void takeLock(boolean takeover) throws SamehostException {
    try {
      lock = SocketLock.take(socket, implementation, Duration.ZERO);
      if (!takeover || PathState.of(socket) != PathState.LIVE) {
        return;
      }
      // Its server has only a flock(2), which the JDK does not see; or a takeover is under way.
      lock.close();
      lock = null;
    } catch (SocketInUseException e) {
      if (!takeover) {
        throw e;
      }
    }
    predecessor = Predecessor.ask(socket);
    lock = SocketLock.take(socket, implementation, RELEASED_LOCK_PATIENCE);
  }

  /** Lets a successor have the lock; false where this server goes. */
  private synchronized boolean release() {
    if (withdrawn || takenOver.isDone()) {
      return false;
    }
    if (lock != null) { // it is null where it could not be taken again
      lock.close();
      lock = null;
    }
    return true;
  }

  /** Takes the lock again when a successor gave up; without it, others still find the path live. */
  private synchronized void retake() {
    if (withdrawn) {
      return;
    }
    try {
      lock = SocketLock.take(socket, implementation, RELEASED_LOCK_PATIENCE);
    } catch (SamehostException e) {
      LOG.warning(
          "a takeover of %s was given up, and its lock can't be had again: %s"
              .formatted(socket.path(), e.getMessage()));
    }
  }

  private void refuseWhatIsNotStale() throws SamehostException {
    Path path = socket.path();
    switch (PathState.of(socket)) {
      case NOT_A_SOCKET ->
          throw new SamehostException(
              path + " exists and is not a socket; move it away or choose another path");
      case LIVE -> {
        if (predecessor == null) {
          throw new SamehostException(
              ("%s has a server already: someone answers there without holding %s.lock;"
                      + " stop that server or choose another path")
                  .formatted(path, path));
        }
      }
      case FORBIDDEN ->
          throw new SamehostException(
              ("%s may have a server: this process is not allowed to ask; %s;"
                      + " remove the file if nobody serves there")
                  .formatted(path, Reasons.permissions(path)));
      case ABSENT, STALE -> {}
    }
  }

  private void refuseForeignControl() throws SamehostException {
    SocketPath control = Takeover.controlPath(socket);
    try {
      if (control == null || PathState.isSocket(control.path(), LinkOption.NOFOLLOW_LINKS)) {
        return;
      }
    } catch (IOException e) {
      return; // nothing is there, or what stops this process from looking stops it from renaming
    }
    throw new SamehostException(
        ("%s is needed to hand %s over and is not a socket;"
                + " move it away or choose another path")
            .formatted(control.path(), socket.path()));
  }

  private void makePrivateFolder() throws SamehostException {
    Path folder = bound.path().getParent();
    try {
      removePrivateFolder();
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException e) {
      throw new SamehostException(
          "cannot create %s for the socket %s: %s; %s; let this process write there"
              .formatted(folder, socket.path(), Reasons.of(e), Reasons.permissions(folder)),
          e);
    }
  }

  /** Removes what this server, or one that was killed while it started, left: it holds the lock. */
  private void removePrivateFolder() throws IOException {
    Path folder = bound.path().getParent();
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> left = Files.list(folder)) {
      for (Path each : left.toList()) {
        if (PathState.isSocket(each, LinkOption.NOFOLLOW_LINKS)) {
          Files.deleteIfExists(each);
        }
      }
    }
    Files.deleteIfExists(folder);
  }

  private void rename(Path bound, Path path) throws IOException {
    identities.put(path, identityOf(bound));
    Files.move(bound, path, StandardCopyOption.ATOMIC_MOVE);
  }

  private void removeIfOwn(Path path) {
    try {
      if (isOwn(path)) {
        Files.delete(path);
      }
    } catch (IOException e) {
      // Nothing is there, or the folder has changed hands: there is nothing of this server's left.
    }
  }

  private boolean isOwn(Path path) {
    try {
      return identityOf(path).equals(identities.get(path));
    } catch (IOException e) {
      return false;
    }
  }

  /** Device and inode: another file of the same name is somebody else's. */
  private static Map<String, Object> identityOf(Path path) throws IOException {
    return Files.readAttributes(path, "unix:dev,ino", LinkOption.NOFOLLOW_LINKS);
  }

  /**
   * Where the socket is bound: a random name, in a folder beside the path whose name depends on the
   * path alone. It must fit into a socket's address too, so both get shorter where the path is
   * long.
   */
  private static SocketPath privatePath(Path path) throws SamehostException {
    Path folder = path.getParent();
    int room = SocketPath.MAX_BYTES - bytes(folder).length - "/./".length();
    if (room < 2) {
      throw new SamehostException(
          path
              + " leaves no room for a private name beside it;"
              + " choose a folder with a shorter name");
    }
    int nameLength = Math.min(NAME_DIGITS, room / 2);
    String digits = HexFormat.of().formatHex(sha256(bytes(path.getFileName())));
    String name =
        HexFormat.of().toHexDigits(new SecureRandom().nextLong()).substring(0, nameLength);
    return new SocketPath(
        folder
            .resolve("." + digits.substring(0, Math.min(room - nameLength, FOLDER_DIGITS)))
            .resolve(name));
  }

  /** Where the socket for successors is bound: as long a name, and no hexadecimal digit. */
  private SocketPath privateControlPath() {
    String name = bound.path().getFileName().toString();
    return new SocketPath(bound.path().resolveSibling("t" + name.substring(1)));
  }

  private static byte[] bytes(Path path) {
    return path.toString().getBytes(UTF_8);
  }

  private static byte[] sha256(byte[] data) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(data);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
