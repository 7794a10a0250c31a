package io.samehost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
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

  private static final Logger LOG = Logger.getLogger(SocketFile.class.getName());

  private final SocketPath socket;
  private final String owner;
  private final boolean trustFolder;
  private final Takeover takeover;
  private final CompletableFuture<Void> removed = new CompletableFuture<>();
  private Folder folder;
  private PublicNames names;
  private PrivateFolder privateFolder;
  private Path bound;
  private RemovalWatch watch;
  private boolean withdrawn;

  /** What was at the path when it was claimed; null where nothing was. */
  private Object replaced;

  /** Null while a successor may have it. */
  private SocketLock lock;

  /**
   * Touches nothing yet.
   *
   * @param owner what the lock file says of this server
   * @param trustFolder whether a folder that every user may write to is accepted
   * @param allowTakeover whether a successor may take the path over
   */
  SocketFile(SocketPath socket, String owner, boolean trustFolder, boolean allowTakeover) {
    this.socket = socket;
    this.owner = owner;
    this.trustFolder = trustFolder;
    this.takeover = new Takeover(socket, allowTakeover);
  }

  /**
   * Locks the path and returns the private one to bind.
   *
   * @param takeOver whether a server that has the path is asked to hand it over
   */
  synchronized Path claim(boolean takeOver) throws SamehostException, InterruptedException {
    folder = Folder.of(socket, trustFolder);
    names = new PublicNames(folder, PrivateFolder.prefix(socket));
    takeLock(takeOver);
    replaced = FileStatus.revisionAt(folder.resolve(socket.name()));
    refuseWhatIsNotStale();
    takeover.refuseForeignControl(folder);
    makePrivateFolder();
    bound = randomPath();
    return bound;
  }

  /** Gives the bound socket its group and mode, and renames it; from now on it is found. */
  synchronized void publish(int mode, GroupPrincipal group) throws SamehostException {
    setGroup(group);
    setMode(mode);
    try {
      takeover.listen(randomPath(), names, this::release, this::retake);
      refuseWhatHasComeSince();
      names.give(bound, socket.name());
    } catch (SamehostException e) {
      throw e;
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot listen on %s: cannot move the socket there: %s: %s;"
                  + " give this process write permission")
              .formatted(socket.path(), Reasons.of(e), Reasons.permissions(socket.path())),
          e);
    }
    privateFolder.close();
    takeover.published();
  }

  static SamehostException cannotBind(SocketPath socket, IOException cause) {
    return new SamehostException(
        ("cannot listen on %s: cannot bind a socket: %s;"
                + " use a file system that has sockets and space")
            .formatted(socket.path(), Reasons.of(cause)),
        cause);
  }

  private void setGroup(GroupPrincipal group) throws SamehostException {
    if (group == null) {
      return;
    }
    try {
      Files.setAttribute(bound, "posix:group", group);
    } catch (IOException e) {
      throw new SamehostException(
          "cannot listen on %s: cannot set the group %s: %s; use a group of this process"
              .formatted(socket.path(), group, Reasons.of(e)),
          e);
    }
  }

  private void setMode(int mode) throws SamehostException {
    try {
      Files.setAttribute(bound, "unix:mode", mode);
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot listen on %s: cannot set the mode %04o: %s;"
                  + " use a file system that has permissions")
              .formatted(socket.path(), mode, Reasons.of(e)),
          e);
    }
  }

  /** Completes, in another thread, when a successor has taken the path over. */
  CompletionStage<Void> takenOver() {
    return takeover.done();
  }

  /**
   * Completes, in another thread, when someone has removed the file or put another in its place;
   * the first call begins to watch.
   */
  synchronized CompletionStage<Void> removed() {
    if (watch == null && !withdrawn) {
      watch = new RemovalWatch(this::isLost, this::lost);
    }
    return removed;
  }

  /** Whether the file is not there any more; without the lock, a successor may have the path. */
  synchronized boolean isLost() {
    // Not relative to the folder, which may have been renamed: clients look here.
    return lock != null && !names.isOwn(socket.name(), socket.path());
  }

  /**
   * Removes the path where it is still this server's own, and releases the lock; may be repeated.
   */
  synchronized void withdraw() {
    withdrawn = true;
    if (watch != null) {
      watch.close();
    }
    takeover.close();
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
        ("the socket %s was removed or replaced, and new clients cannot connect;"
                + " start the server again")
            .formatted(socket.path()));
    removed.complete(null);
  }

  private void takeLock(boolean takeOver) throws SamehostException, InterruptedException {
    try {
      lock = SocketLock.take(folder, socket, owner);
      if (!takeOver || PathState.of(socket, folder) != PathState.LIVE) {
        return;
      }
      // Its server has only a flock(2), which the JDK does not see, or its lock file was removed;
      // or a takeover is under way, whose successor needs the lock.
      lock.close();
      lock = null;
    } catch (SocketInUseException e) {
      if (!takeOver) {
        throw e;
      }
    }
    lock = takeover.askForLock(folder, owner);
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
      lock = SocketLock.take(folder, socket, owner);
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
          throw new NotSocketException(
              "cannot listen on %s: it exists and is not a socket; move it or use another path"
                  .formatted(path));
      case LIVE -> {
        if (!takeover.hasPredecessor()) {
          throw new SocketInUseException(
              ("cannot listen on %s: a server that does not hold %s.lock answers there;"
                      + " stop that server or use another path")
                  .formatted(path, path));
        }
      }
      case FORBIDDEN ->
          throw new SocketInUseException(
              ("cannot listen on %s: cannot check for a running server: permission denied: %s;"
                      + " remove the socket if no server uses it")
                  .formatted(path, Reasons.permissions(path)));
      case ABSENT, STALE -> {}
    }
  }

  private void refuseWhatHasComeSince() throws SocketInUseException {
    if (!Objects.equals(FileStatus.revisionAt(folder.resolve(socket.name())), replaced)) {
      throw new SocketInUseException(
          ("cannot listen on %s: another file appeared there during the start;"
                  + " move it or use another path")
              .formatted(socket.path()));
    }
  }

  private void makePrivateFolder() throws SamehostException {
    String prefix = PrivateFolder.prefix(socket);
    if (!takeover.hasPredecessor()) { // which keeps names of its sockets in one
      PrivateFolder.sweep(folder, prefix);
    }
    try {
      privateFolder = PrivateFolder.create(folder, prefix);
    } catch (IOException e) {
      throw new SamehostException(
          ("cannot listen on %s: cannot create a private folder beside it: %s: %s;"
                  + " give this process write permission, and the file system space")
              .formatted(
                  socket.path(), Reasons.of(e), Reasons.permissions(socket.path().getParent())),
          e);
    }
  }

  /**
   * Where to bind. Netty removes the name that it bound when it closes a socket, whatever is there
   * by then; nothing else has this one.
   */
  private Path randomPath() {
    return privateFolder.resolve(PrivateFolder.randomName());
  }
}
