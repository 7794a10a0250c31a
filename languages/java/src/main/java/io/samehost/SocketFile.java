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
 * The socket file of one server, in the steps of PROTOCOL.md: {@link #claim}, bind, {@link
 * #publish}, serve, {@link #withdraw}.
 *
 * <p>The socket is bound in a private folder beside the path and gets its mode and group there. It
 * is renamed to the path when it accepts connections. Therefore clients never find a socket that
 * does not accept connections yet, or that has a wider mode.
 *
 * <p>All names are relative to folders that are held open. Another user who may write to the folder
 * can replace files in it, but cannot make the server change or remove files of others.
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

  /** The file at the path when it was claimed; null if there was no file. */
  private Object replaced;

  /** Null while a successor may hold it. */
  private SocketLock lock;

  /**
   * Changes no file yet.
   *
   * @param owner the name of this server in the lock file
   * @param trustFolder whether to accept a folder that every user may write to
   * @param allowTakeover whether a successor may take the path over
   */
  SocketFile(SocketPath socket, String owner, boolean trustFolder, boolean allowTakeover) {
    this.socket = socket;
    this.owner = owner;
    this.trustFolder = trustFolder;
    this.takeover = new Takeover(socket, allowTakeover);
  }

  /**
   * Locks the path and returns the private path to bind.
   *
   * @param takeOver whether to take the path over from a running server
   */
  synchronized Path claim(boolean takeOver) throws SamehostException, InterruptedException {
    folder = Folder.of(socket, trustFolder);
    names = new PublicNames(folder, PrivateFolder.prefix(socket));
    takeLock(takeOver);
    replaced = FileStatus.revisionAt(folder.resolve(socket.name()));
    checkThatPathIsFree();
    takeover.checkControlPath(folder);
    makePrivateFolder();
    bound = randomPath();
    return bound;
  }

  /** Sets the group and mode of the bound socket, and renames it so that clients find it. */
  synchronized void publish(int mode, GroupPrincipal group) throws SamehostException {
    setGroup(group);
    setMode(mode);
    try {
      takeover.listen(randomPath(), names, this::release, this::retake);
      checkThatPathIsUnchanged();
      names.publish(bound, socket.name());
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

  /** Completes in another thread when a successor has taken the path over. */
  CompletionStage<Void> takenOver() {
    return takeover.done();
  }

  /**
   * Completes in another thread when the file was removed or replaced. The first call starts the
   * watch.
   */
  synchronized CompletionStage<Void> removed() {
    if (watch == null && !withdrawn) {
      watch = new RemovalWatch(this::isLost, this::lost);
    }
    return removed;
  }

  /** Whether the file is gone. Without the lock, the path may belong to a successor. */
  synchronized boolean isLost() {
    // Not relative to the folder, which may have been renamed: clients use the path.
    return lock != null && !names.isOwn(socket.name(), socket.path());
  }

  /** Removes the socket if it is still this server's, and releases the lock. May be repeated. */
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
    // Without the lock, a successor could replace the file between the check and the removal.
    if (lock != null) {
      names.remove();
    }
    names.removeBackup();
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
      // A server runs without this lock. It may hold only a flock(2), which the JDK does not see,
      // its lock file may have been removed, or a successor that takes over needs the lock.
      lock.close();
      lock = null;
    } catch (SocketInUseException e) {
      if (!takeOver) {
        throw e;
      }
    }
    lock = takeover.requestLock(folder, owner);
  }

  /** Releases the lock for a successor. Returns false if this server stops. */
  private synchronized boolean release() {
    if (lock == null) {
      return false;
    }
    names.backUp();
    lock.close();
    lock = null;
    return true;
  }

  /**
   * Tries to take the lock again after a successor failed. Returns true also if this server stops
   * and does not need the lock.
   */
  private synchronized boolean retake() {
    if (withdrawn) {
      return true;
    }
    try {
      lock = SocketLock.take(folder, socket, owner);
    } catch (SamehostException e) { // another process holds it, or no descriptor is free
      return false;
    }
    names.restore();
    return true;
  }

  private void checkThatPathIsFree() throws SamehostException {
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

  private void checkThatPathIsUnchanged() throws SocketInUseException {
    if (!Objects.equals(FileStatus.revisionAt(folder.resolve(socket.name())), replaced)) {
      throw new SocketInUseException(
          ("cannot listen on %s: another file appeared there during the start;"
                  + " move it or use another path")
              .formatted(socket.path()));
    }
  }

  private void makePrivateFolder() throws SamehostException {
    String prefix = PrivateFolder.prefix(socket);
    if (!takeover.hasPredecessor()) { // it keeps names of its sockets there
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
   * Returns a path to bind. When Netty closes a socket, it removes the file with the bound name,
   * even if that is another file. Therefore the name is random, so that no other file has it.
   */
  private Path randomPath() {
    return privateFolder.resolve(PrivateFolder.randomName());
  }
}
