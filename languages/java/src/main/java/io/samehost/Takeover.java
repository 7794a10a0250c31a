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
 * One server's part in the takeovers of its path, as PROTOCOL.md has them: it takes the path from a
 * {@link Predecessor}, and hands it over to one of its {@link Successors}.
 *
 * <p>Both talk over a socket beside the path, which is its owner's alone to dial: whoever could
 * dial it could make the server go.
 */
final class Takeover implements AutoCloseable {

  /**
   * How long to try for a lock that was just released: a third server may hold it while it finds
   * the path live.
   */
  private static final Duration RELEASED_LOCK_PATIENCE = Duration.ofSeconds(2);

  /** How often to try: the JDK can wait for a lock, but not with an end. */
  private static final Duration PACE = Duration.ofMillis(5);

  private final SocketPath socket;
  private final CompletableFuture<Void> done = new CompletableFuture<>();

  /** Where successors dial; null where there can be none. */
  private final Path control;

  private Predecessor predecessor;
  private Successors successors;

  /**
   * Does nothing yet.
   *
   * @param allowed whether a successor may take the path over
   */
  Takeover(SocketPath socket, boolean allowed) {
    this.socket = socket;
    this.control = allowed ? controlPath(socket) : null;
  }

  /** Where a server listens for its successor; null where the name would be too long. */
  static Path controlPath(SocketPath socket) {
    String path = socket.path() + ".takeover";
    return SocketPath.fits(path) ? Path.of(path) : null;
  }

  /** Asks the server that has the path to release its lock, and takes it. */
  SocketLock askForLock(Folder folder, String owner)
      throws SamehostException, InterruptedException {
    predecessor = Predecessor.dial(socket, folder);
    predecessor.awaitRelease();
    long released = System.nanoTime();
    while (true) {
      try {
        return SocketLock.take(folder, socket, owner);
      } catch (SocketInUseException e) {
        if (System.nanoTime() - released >= RELEASED_LOCK_PATIENCE.toNanos()) {
          throw e;
        }
        Thread.sleep(PACE.toMillis());
      }
    }
  }

  /** Whether the path is taken from a server that serves until this one has published. */
  boolean hasPredecessor() {
    return predecessor != null;
  }

  /** Refuses to replace what is no socket of a server. */
  void refuseForeignControl(Folder folder) throws NotSocketException {
    try {
      if (control == null
          || FileStatus.of(folder.resolve(name()), LinkOption.NOFOLLOW_LINKS).isSocket()) {
        return;
      }
    } catch (IOException e) {
      return; // nothing is there, or what stops this process from looking stops it from renaming
    }
    throw new NotSocketException(
        "cannot listen on %s: %s exists and is not a socket; move it or use another path"
            .formatted(socket.path(), control));
  }

  /**
   * Listens for successors, where there can be any; nobody is answered yet.
   *
   * @param bound a private path to bind
   * @param names get one for it
   * @param release releases the lock; false where this server goes
   * @param retake takes the lock again if it can; true also where it is needed no more
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
    names.give(bound, name());
  }

  /** Tells the predecessor to go, and answers successors from now on. */
  void published() {
    // Only now: whoever hears of it may remove or rename what is beside the path.
    if (predecessor != null) {
      predecessor.tellPublished();
    }
    if (successors != null) {
      successors.answer();
    }
  }

  /** Completes, in another thread, when a successor has taken the path over. */
  CompletionStage<Void> done() {
    return done;
  }

  /** Hangs up on the predecessor and on successors; may be repeated. */
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
