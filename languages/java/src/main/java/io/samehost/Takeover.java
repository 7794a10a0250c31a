package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.BooleanSupplier;

/**
 * The takeovers of one server, as PROTOCOL.md describes them. The server takes the path over from a
 * {@link Predecessor}, and hands it over to one of its {@link Successors}.
 *
 * <p>They use a control socket beside the path. Only its owner may connect to it, because a
 * successor makes the server exit.
 */
final class Takeover implements AutoCloseable {

  /**
   * How long to try to take a lock that was just released. A third server may hold it until it
   * finds the path in use.
   */
  private static final Duration RELEASED_LOCK_TIMEOUT = Duration.ofSeconds(2);

  /** How often to try, because the JDK can wait for a lock only without a timeout. */
  private static final Duration RETRY_INTERVAL = Duration.ofMillis(5);

  private final SocketPath socket;
  private final CompletableFuture<Void> done = new CompletableFuture<>();

  /** The control socket; null if this server cannot be taken over. */
  private final Path control;

  private Predecessor predecessor;
  private Successors successors;

  /**
   * Changes no file yet.
   *
   * @param allowed whether a successor may take the path over
   */
  Takeover(SocketPath socket, boolean allowed) {
    this.socket = socket;
    this.control = allowed ? controlPath(socket) : null;
  }

  /** Returns the path of the control socket; null if it would be too long. */
  static Path controlPath(SocketPath socket) {
    String path = socket.path() + ".takeover";
    return SocketPath.fits(path) ? Path.of(path) : null;
  }

  /** Makes the running server release its lock, and takes the lock. */
  SocketLock requestLock(Folder folder, String owner)
      throws SamehostException, InterruptedException {
    predecessor = Predecessor.connect(socket, folder);
    predecessor.awaitRelease();
    long released = System.nanoTime();
    while (true) {
      try {
        return SocketLock.take(folder, socket, owner);
      } catch (SocketInUseException e) {
        if (System.nanoTime() - released >= RELEASED_LOCK_TIMEOUT.toNanos()) {
          throw e;
        }
        Thread.sleep(RETRY_INTERVAL.toMillis());
      }
    }
  }

  /** Whether this server takes the path over from a running server. */
  boolean hasPredecessor() {
    return predecessor != null;
  }

  /** Throws if the control path names a file that is not a socket. */
  void checkControlPath(Folder folder) throws NotSocketException {
    try {
      if (control == null
          || FileStatus.of(folder.resolve(name()), LinkOption.NOFOLLOW_LINKS).isSocket()) {
        return;
      }
    } catch (IOException e) {
      return; // no such file, or the rename will fail for the same reason
    }
    throw new NotSocketException(
        "cannot listen on %s: %s exists and is not a socket; move it or use another path"
            .formatted(socket.path(), control));
  }

  /**
   * Listens for successors if takeovers are allowed, but accepts no connection yet.
   *
   * @param bound a private path to bind
   * @param names publishes the control socket
   * @param release releases the lock; false if this server stops
   * @param retake tries to take the lock again; true also if the lock is no longer needed
   */
  void listen(Path bound, PublicNames names, BooleanSupplier release, BooleanSupplier retake)
      throws IOException {
    if (control == null) {
      return;
    }
    try {
      successors = new Successors(socket, bound, release, retake, () -> done.complete(null));
    } catch (IOException e) {
      throw SocketFile.cannotBind(socket, e);
    }
    Files.setAttribute(bound, "unix:mode", 0600);
    names.publish(bound, name());
  }

  /** Makes the predecessor exit, and starts to accept successors. */
  void published() {
    // Not earlier, because a predecessor or successor may remove or rename files at the path.
    if (predecessor != null) {
      predecessor.tellPublished();
    }
    if (successors != null) {
      successors.accept();
    }
  }

  /** Completes in another thread when a successor has taken the path over. */
  CompletionStage<Void> done() {
    return done;
  }

  /** Closes the connections to the predecessor and successors. May be called again. */
  @Override
  public void close() {
    if (successors != null) {
      successors.close();
    }
    if (predecessor != null) {
      predecessor.close();
    }
  }

  private String name() {
    return control.getFileName().toString();
  }
}
