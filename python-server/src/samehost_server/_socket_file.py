"""The socket file from its creation in a private folder to its removal, as PROTOCOL.md defines it."""

import contextlib
import hashlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from samehost_common import NotASocketError, SamehostError, SocketAddress
from samehost_common.probe import PathState, describe_permissions, path_state, reason
from samehost_server._connections import close_copies, is_client_connected
from samehost_server._folder import Folder, PrivateFolder, make_private_folder, open_folder, random_name, sweep
from samehost_server._lock import Lock
from samehost_server._takeover import Predecessor, Successors, control_path
from samehost_server.errors import BindError, SocketInUseError

_DIGEST_LENGTH = 8
"""The length in hexadecimal digits. Two paths of one folder have the same digest once in 4 billion times."""

_LOCK_SECONDS = 2.0
"""How long to retry a lock that was just released. A third server may hold it while it checks the path."""


class SocketFile:
    """The socket file of one server. Call `claim`, bind the socket, `publish` it, serve, and `withdraw` it.

    The socket is bound in a private folder beside the path, which no other user can enter. It gets its mode and group
    there, and is renamed to the path when the server accepts calls. So a client that finds a socket at the path can
    call, and never sees it with a wider mode.

    All names are relative to open folders. Another user who can write to the folder can replace the files in it, but
    cannot make the server change or remove the files of others.
    """

    _folder: Folder
    _private: PrivateFolder
    _bound = Path()

    def __init__(
        self, address: SocketAddress, *, mode: int, gid: int | None, owner: str, trust_folder: bool = False
    ) -> None:
        self._path = address.path
        self._cannot = f"cannot listen on {address.path}"
        self._mode = mode
        self._gid = gid
        self._owner = owner
        self._trust_folder = trust_folder
        digest = hashlib.sha256(os.fsencode(self._path.name)).hexdigest()
        self._prefix = f".{digest[:_DIGEST_LENGTH]}"
        self._lock: Lock | None = None
        self._changing = threading.Lock()
        """Held while the lock is taken or released. A takeover does this in its own thread."""
        self._withdrawn = False
        self._closing = contextlib.ExitStack()
        self._found: tuple[int, int, int] | None = None
        self._identities: dict[str, tuple[int, int]] = {}
        self._kept: PrivateFolder | None = None
        self._predecessor: Predecessor | None = None
        self._control: socket.socket | None = None
        self._successors: Successors | None = None

    def claim(self, *, takeover: bool) -> SocketAddress:
        """Locks the path and returns the private address to bind.

        Args:
            takeover: ask the server that uses the path to hand it over.

        Raises:
            SocketInUseError: another server holds the lock, answers at the path, or does not hand the path over.
            NotASocketError: a file that is not a socket exists at the path.
            BindError: the folder is missing, not writable, or writable for every user.
        """
        self._folder = open_folder(self._path, trusted=self._trust_folder)
        self._closing.callback(self._folder.close)
        lock = self._take_over() if takeover else self._take_lock(0)
        with self._changing:
            if self._withdrawn:  # by a stop during the start
                lock.release()
                raise BindError(f"{self._cannot}: the server was stopped during its start; create another one")
            self._lock = lock
        self._refuse_what_is_not_stale()
        self._refuse_foreign_control()
        self._make_private_folder()
        return SocketAddress(self._bound)

    def publish(self, handed_over: Callable[[], object]) -> None:
        """Sets the group and mode of the bound socket and renames it to the path, where clients find it.

        Args:
            handed_over: called in another thread when a successor has taken the path over.

        Raises:
            SocketInUseError: another program created a file at the path since `claim`.
            BindError: the system refuses the group, the mode or the name.
        """
        self._set_group_and_mode()
        if _look(self._folder / self._path.name) not in (None, self._found):
            raise SocketInUseError(
                f"{self._cannot}: another file appeared there during the start; move it or use another path"
            )
        renames = [(self._bound, self._path.name)]
        if control := control_path(self._path):
            renames.insert(0, (self._listen_for_successors(), control.name))
        try:
            for private, public in renames:
                self._rename(private, public)
        except OSError as error:
            raise BindError(
                f"{self._cannot}: cannot move the socket there: {reason(error)}: {describe_permissions(self._path)}; "
                f"give this process write permission"
            ) from error
        self._private.remove()
        if not self._predecessor:  # it keeps names of its sockets in such a folder
            sweep(self._folder, self._prefix)
        # The last step, because the predecessor and a successor may remove or rename files beside the path.
        if self._predecessor:
            self._predecessor.tell_published()
        if self._control:
            self._successors = Successors(
                self._path, self._control, release=self._release, retake=self._retake, handed_over=handed_over
            )

    def withdraw(self) -> None:
        """Removes the path if it is still this server's own, and releases the lock. A second call has no effect."""
        if self._predecessor:
            self._predecessor.close()
        if self._successors:
            self._successors.close()
        elif self._control:
            self._control.close()
        with self._changing:
            if self._withdrawn:
                return
            self._withdrawn = True
            if self._identities and not self._lock:  # a successor holds it, or is blocked
                with contextlib.suppress(BindError):
                    self._lock = self._take_lock(0)
            lock, self._lock = self._lock, None
            if lock:  # without it, a successor may rename its socket to the path between look and removal
                for name in self._identities:
                    self._remove_if_own(name)
            if self._kept:
                self._kept.remove()
            self._closing.close()
            if lock:
                lock.release()

    def forget(self) -> None:
        """Leaves the path, the lock and the listener to the parent, in a forked child."""
        self._changing = threading.Lock()  # a thread that the child does not have may have held it
        self._withdrawn = True
        lock, self._lock = self._lock, None
        if lock:
            lock.forget()
            self._folder.close()
        if self._control:
            self._control.close()
        if self._predecessor:
            self._predecessor.close()
        with contextlib.suppress(OSError):
            close_copies(str(self._bound))

    def is_lost(self) -> bool:
        """Whether the socket was removed or replaced, other than by a takeover."""
        with self._changing:
            return self._lock is not None and _identity(self._path) != self._identities[self._path.name]

    def has_client(self) -> bool:
        """Whether a client is connected to the socket. True if the system does not tell."""
        try:
            return is_client_connected(str(self._bound))
        except OSError:
            return True

    def _take_lock(self, seconds: float) -> Lock:
        return Lock(self._folder, self._path, self._owner, seconds)

    def _take_over(self) -> Lock:
        try:
            lock = self._take_lock(0)
        except SocketInUseError:
            pass
        else:
            if self._state() is not PathState.LIVE:
                return lock
            # The lock file of the running server was removed, or another successor was faster. It may be waiting for
            # this lock.
            lock.release()
        self._predecessor = Predecessor(self._path)
        return self._take_lock(_LOCK_SECONDS)

    def _state(self) -> PathState:
        # Not relative to the open folder: that path may be too long to connect to.
        return path_state(SocketAddress(self._path))

    def _rename(self, private: Path, public: str) -> None:
        identity = _identity(private)
        if identity:
            self._identities[public] = identity
        private.rename(self._folder / public)

    def _is_own(self, name: str) -> bool:
        return _identity(self._folder / name) == self._identities[name]

    def _remove_if_own(self, name: str) -> None:
        with contextlib.suppress(OSError):
            if self._is_own(name):
                (self._folder / name).unlink()

    def _release(self) -> bool:
        """Releases the lock for a successor. False if this server does not hold it, because it is stopping."""
        with self._changing:
            lock, self._lock = self._lock, None
            if lock:
                self._keep_names()
                lock.release()
            return lock is not None

    def _retake(self) -> bool:
        """Tries to take the lock again after a failed takeover. True if the server holds it or no longer needs it."""
        with self._changing:
            if not self._withdrawn:
                try:
                    lock = self._take_lock(0)
                except BindError:  # another process holds it, or no descriptor is free
                    return False
                try:
                    self._restore_names()
                except (OSError, SamehostError):  # for example, because no descriptor is free
                    lock.release()
                    return False
                self._lock = lock
            return True

    def _keep_names(self) -> None:
        """Creates more names of the sockets, for `_restore_names` if a successor takes the public ones and dies.

        On a file system without hard links, the server then keeps running without a path, and `is_lost` is true.
        """
        with contextlib.suppress(OSError):
            self._kept = make_private_folder(self._folder, self._prefix)
            for name in self._identities:
                if self._is_own(name):
                    (self._kept / name).hardlink_to(self._folder / name)

    def _restore_names(self) -> None:
        """Restores the public names of the sockets if a successor died after it took them."""
        if self._kept is None:
            return
        for name in self._identities:
            kept, public = self._kept / name, SocketAddress(self._path.with_name(name))
            if kept.exists() and not self._is_own(name) and path_state(public) in (PathState.ABSENT, PathState.STALE):
                kept.rename(self._folder / name)
        self._kept.remove()
        self._kept = None

    def _refuse_what_is_not_stale(self) -> None:
        self._found = _look(self._folder / self._path.name)
        match self._state():
            case PathState.NOT_A_SOCKET:
                raise NotASocketError(f"{self._cannot}: it exists and is not a socket; move it or use another path")
            case PathState.LIVE if self._predecessor is None:
                raise SocketInUseError(
                    f"{self._cannot}: a server that does not hold {self._path}.lock answers there; "
                    f"stop that server or use another path"
                )
            case PathState.FORBIDDEN:
                raise SocketInUseError(
                    f"{self._cannot}: cannot check for a running server: permission denied: "
                    f"{describe_permissions(self._path)}; remove the socket if no server uses it"
                )

    def _refuse_foreign_control(self) -> None:
        control = control_path(self._path)
        with contextlib.suppress(FileNotFoundError):
            if control and not stat.S_ISSOCK((self._folder / control.name).lstat().st_mode):
                raise NotASocketError(
                    f"{self._cannot}: {control} exists and is not a socket; move it or use another path"
                )

    def _make_private_folder(self) -> None:
        try:
            self._private = make_private_folder(self._folder, self._prefix)
        except OSError as error:
            raise BindError(
                f"{self._cannot}: cannot create a private folder beside it: {reason(error)}: "
                f"{describe_permissions(self._path.parent)}; "
                f"give this process write permission, and the file system space"
            ) from error
        self._closing.callback(self._private.remove)
        # Random, because it identifies the connections, and because C-core unlinks the name that it bound, even if
        # another server has bound the same name since.
        self._bound = self._private / random_name()

    def _set_group_and_mode(self) -> None:
        if self._gid is not None:
            try:
                os.chown(self._bound, -1, self._gid)
            except OSError as error:
                raise BindError(
                    f"{self._cannot}: cannot set the group {self._gid}: {reason(error)}; use a group of this process"
                ) from error
        try:
            self._bound.chmod(self._mode)
        except OSError as error:
            raise BindError(
                f"{self._cannot}: cannot set the mode {self._mode:04o}: {reason(error)}; "
                f"use a file system that has permissions"
            ) from error

    def _listen_for_successors(self) -> Path:
        """Listens on the control socket and returns its private path."""
        private = self._private / random_name()
        try:
            self._control = _listen(private)
        except OSError as error:
            raise cannot_bind(self._path, reason(error)) from error
        return private


def cannot_bind(path: os.PathLike[str], why: str) -> BindError:
    """Returns the error of a socket that the system does not create beside a path."""
    return BindError(
        f"cannot listen on {path}: cannot bind a socket: {why}; use a file system that has sockets and space"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns the device and inode of a file; None if it does not exist. No other file has those of an open socket."""
    found = _look(path)
    return found and found[:2]


def _look(path: Path) -> tuple[int, int, int] | None:
    """Returns the device, inode and modification time of a file; None if it does not exist.

    The time is needed because a new file often gets the inode of one that was just removed.
    """
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino, found.st_mtime_ns
    return None


def _listen(private: Path) -> socket.socket:
    """Returns a socket that listens at a private path and that only the user of this server can connect to."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(private))
        private.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
