package io.samehost.socket;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.samehost.socket.Takeover.Predecessor;
import io.samehost.socket.Takeover.Successors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.logging.Logger;

/**
 * One server's hold on a path, as PROTOCOL.md has it: {@link #claim}, bind, {@link #publish},
 * serve, {@link #withdraw}.
 *
 * <p>The socket is bound in a private folder beside the path, is given its mode and group there,
 * and is renamed onto the path when it serves. So whoever finds a file at the path finds one that
 * serves, and never one with a wider mode.
 *
 * <p>Everything is named relative to folders that are held open: another user who may write to the
 * folder can replace what he finds there, and still can't make the server change or remove a file
 * of somebody else.
 */
final class SocketFile {

  /** Hexadecimal, so that two paths of one folder find each other's once in 4 billion. */
  private static final int DIGEST_DIGITS = 8;

  /**
   * How long to try for a lock that was just released: a third server may hold it while it finds
   * the path live.
   */
  private static final Duration RELEASED_LOCK_PATIENCE = Duration.ofSeconds(2);

  private static final Logger LOG = Logger.getLogger(SocketFile.class.getName());

  private final SocketPath socket;
  private final String implementation;
  private final boolean trustFolder;
  private final CompletableFuture<Void> takenOver = new CompletableFuture<>();
  private final CompletableFuture<Void> removed = new CompletableFuture<>();
  private Folder folder;
  private PublicNames names;
  private PrivateFolder privateFolder;
  private SocketPath bound;
  private Predecessor predecessor;
  private Successors successors;
  private RemovalWatch watch;
  private boolean withdrawn;

  /** What was at the path when it was claimed; null where nothing was. */
  private Object replaced;

  /** Null while a successor may have it. */
  private SocketLock lock;

  /**
   * Touches nothing yet.
   *
   * @param trustFolder whether a folder that every user may write to is accepted
   */
  SocketFile(SocketPath socket, String implementation, boolean trustFolder) {
    this.socket = socket;
    this.implementation = implementation;
    this.trustFolder = trustFolder;
  }

  /**
   * Locks the path and returns the private one to bind.
   *
   * @param takeover whether a server that has the path is asked to hand it over
   */
  synchronized SocketPath claim(boolean takeover) throws SamehostException {
    folder = Folder.of(socket, trustFolder);
    names = new PublicNames(folder, privatePrefix());
    takeLock(takeover);
    replaced = FileStatus.identityAt(seen(socket));
    refuseWhatIsNotStale();
    refuseForeignControl();
    makePrivateFolder();
    return bound;
  }

  /** Gives the bound socket its group and mode, and renames it; from now on it is found. */
  synchronized void publish(int mode, GroupPrincipal group) throws SamehostException {
    SocketPath control = Takeover.controlPath(socket);
    try {
      if (group != null) {
        Files.setAttribute(bound.path(), "posix:group", group);
      }
      Files.setAttribute(bound.path(), "unix:mode", mode);
      if (control != null) {
        listenForSuccessors(control);
      }
      refuseWhatHasComeSince();
      names.give(bound.path(), nameOf(socket));
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot publish %s with mode %04o and group %s: %s; %s;"
                  + " only a group that this process is in can be given")
              .formatted(
                  socket.path(), mode, group, Reasons.of(e), Reasons.permissions(socket.path())),
          e);
    }
    privateFolder.close();
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
    // Not relative to the folder, which may have been renamed: clients look here.
    return lock != null && !names.isOwn(nameOf(socket), socket.path());
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
    if (predecessor != null) {
      predecessor.close();
    }
    if (folder != null) {
      removeFiles();
    }
    if (lock != null) {
      lock.close();
      lock = null;
    }
  }

  private void removeFiles() {
    // Without the lock, a successor could put its own there between the look and the removal.
    if (lock != null) {
      names.remove();
    }
    names.forgetKept();
    if (privateFolder != null) {
      privateFolder.close();
    }
    folder.close();
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
      lock = lockWithin(Duration.ZERO);
      if (!takeover || PathState.of(socket, folder) != PathState.LIVE) {
        return;
      }
      // Its server has only a flock(2), which the JDK does not see, or its lock file was removed;
      // or a takeover is under way, whose successor needs the lock.
      lock.close();
      lock = null;
    } catch (SocketInUseException e) {
      if (!takeover) {
        throw e;
      }
    }
    predecessor = Predecessor.ask(socket, folder);
    lock = lockWithin(RELEASED_LOCK_PATIENCE);
  }

  private SocketLock lockWithin(Duration patience) throws SamehostException {
    return SocketLock.take(folder, socket, implementation, patience);
  }

  /** Lets a successor have the lock; false where this server goes. */
  private synchronized boolean release() {
    if (lock == null) {
      return false;
    }
    names.keep();
    lock.close();
    lock = null;
    return true;
  }

  /**
   * Tries to take the lock again when a successor gave up; true also where it is needed no more.
   */
  private synchronized boolean retake() {
    if (withdrawn) {
      return true;
    }
    try {
      lock = lockWithin(Duration.ZERO);
    } catch (SamehostException e) { // another process holds it, or no descriptor is left
      return false;
    }
    names.restore();
    return true;
  }

  private void refuseWhatIsNotStale() throws SamehostException {
    Path path = socket.path();
    switch (PathState.of(socket, folder)) {
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

  private void refuseWhatHasComeSince() throws SamehostException {
    if (!Objects.equals(FileStatus.identityAt(seen(socket)), replaced)) {
      throw new SamehostException(
          ("someone put another file at %s while this server started; it is kept:"
                  + " move it away or choose another path")
              .formatted(socket.path()));
    }
  }

  private void refuseForeignControl() throws SamehostException {
    SocketPath control = Takeover.controlPath(socket);
    try {
      if (control == null || FileStatus.of(seen(control), LinkOption.NOFOLLOW_LINKS).isSocket()) {
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
    if (predecessor == null) { // which keeps names of its sockets in one
      PrivateFolder.sweep(folder, privatePrefix());
    }
    try {
      privateFolder = PrivateFolder.create(folder, privatePrefix());
    } catch (IOException e) {
      throw new SamehostException(
          "cannot create a private folder beside %s: %s; %s; let this process write there"
              .formatted(
                  socket.path(), Reasons.of(e), Reasons.permissions(socket.path().getParent())),
          e);
    }
    bound = randomPath();
  }

  private void listenForSuccessors(SocketPath control) throws IOException {
    SocketPath boundControl = randomPath();
    successors =
        new Successors(
            socket, boundControl, this::release, this::retake, () -> takenOver.complete(null));
    // Whoever may dial it could make this server go.
    Files.setAttribute(boundControl.path(), "unix:mode", 0600);
    names.give(boundControl.path(), nameOf(control));
  }

  /**
   * Where to bind. Netty removes the name that it bound when it closes a socket, whatever is there
   * by then; nothing else has this one.
   */
  private SocketPath randomPath() {
    return new SocketPath(privateFolder.resolve(PrivateFolder.randomName()));
  }

  /** A path in the open folder. */
  private Path seen(SocketPath path) {
    return folder.resolve(nameOf(path));
  }

  /** How the names of private folders begin, which depends on the path alone. */
  private String privatePrefix() {
    try {
      MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
      String digits = HexFormat.of().formatHex(sha256.digest(nameOf(socket).getBytes(UTF_8)));
      return "." + digits.substring(0, DIGEST_DIGITS);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private static String nameOf(SocketPath path) {
    return path.path().getFileName().toString();
  }
}
