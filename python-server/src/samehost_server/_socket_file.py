"""The life of a socket's file, as PROTOCOL.md has it: private, public, removed."""

import contextlib
import hashlib
import logging
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from samehost_proto import MAX_PATH_BYTES, NotASocketError, SocketAddress
from samehost_proto.probe import PathState, describe_permissions, path_state
from samehost_server._connections import is_client_connected, let_go
from samehost_server._lock import Lock
from samehost_server._takeover import Predecessor, Successors, control_path
from samehost_server.errors import BindError, SocketInUseError

_FOLDER_NAME_LENGTH = 8
"""Hexadecimal digits, so that two paths of one folder share a private folder once in 4 billion."""

_SOCKET_NAME_LENGTH = 4
"""Random digits. C-core unlinks the name that it bound when it shuts down, whatever is there by then: a server that
drains would take away what its successor has just bound under the same name."""

_LOG = logging.getLogger("samehost_server")

_LOCK_SECONDS = 2.0
"""How long to try for a lock that was just released: a third server may hold it while it finds the path live."""

_RETAKE_PACE_SECONDS = 0.05


class SocketFile:
    """One server's hold on a path: `claim`, bind, `publish`, serve, `withdraw`.

    The socket is bound in a private folder beside the path, which nobody else may enter, is given its
    mode and group there, and is renamed onto the path when it serves. So whoever finds a file at the
    path finds one that serves, and never one with a wider mode.
    """

    def __init__(self, address: SocketAddress, *, mode: int, gid: int | None, owner: str) -> None:
        self._path = address.path
        self._address = address
        self._mode = mode
        self._gid = gid
        self._owner = owner
        self._lock: Lock | None = None
        self._changing = threading.Lock()
        """Held while the lock changes hands, which successors do in a thread of their own."""
        self._withdrawn = False
        self._private = _private_path(address)
        self._private_control = _private_path(address)
        self._identities: dict[Path, tuple[int, int]] = {}
        self._predecessor: Predecessor | None = None
        self._control: socket.socket | None = None
        self._successors: Successors | None = None

    def claim(self, *, takeover: bool) -> str:
        """Locks the path and returns the private address to bind.

        Args:
            takeover: ask a server that has the path to hand it over.

        Raises:
            SocketInUseError: another server holds the lock, or answers at the path, or does not hand it over.
            NotASocketError: something other than a socket is at the path.
            BindError: the folder is missing or can't be written to.
        """
        try:
            lock = self._take_lock(0)
        except SocketInUseError:
            if not takeover:
                raise
            self._predecessor = Predecessor(self._path)
            lock = self._take_lock(_LOCK_SECONDS)
        with self._changing:
            if self._withdrawn:  # by someone who did not wait
                lock.release()
                raise BindError(f"the server of {self._path} was stopped while it started")
            self._lock = lock
        self._refuse_what_is_not_stale()
        self._refuse_foreign_control()
        self._make_private_folder()
        return str(SocketAddress(self._private))

    def publish(self, handed_over: Callable[[], None]) -> None:
        """Gives the bound socket its group and mode and renames it onto the path; from now on it is found.

        Args:
            handed_over: called, in another thread, when a successor has taken the path over.

        Raises:
            BindError: the system refuses the group, the mode or the name.
        """
        control = control_path(self._path)
        private_control = self._private_control
        try:
            if self._gid is not None:
                os.chown(self._private, -1, self._gid)
            self._private.chmod(self._mode)
            if control:
                self._control = _listen(private_control)
                self._rename(private_control, control)
            self._rename(self._private, self._path)
            self._private.parent.rmdir()
        except OSError as error:
            raise BindError(
                f"cannot publish {self._path} with mode {self._mode:04o} and group {self._gid}: {error.strerror}; "
                f"{describe_permissions(self._path)}; only a group that this process is in can be given"
            ) from error
        # Only now: whoever hears of it may remove or rename what is beside the path.
        if self._predecessor:
            self._predecessor.tell_published()
        if self._control:
            self._successors = Successors(
                self._control, release=self._release, retake=self._retake, handed_over=handed_over
            )

    def withdraw(self) -> None:
        """Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless."""
        if self._predecessor:
            self._predecessor.close()
        if self._successors:
            self._successors.close()
        elif self._control:
            self._control.close()
        with self._changing:
            self._withdrawn = True
            lock, self._lock = self._lock, None
            if lock:  # otherwise a successor may rename its own there in the instant between look and removal
                for path in self._identities:
                    self._remove_if_own(path)
                with contextlib.suppress(OSError):
                    self._remove_private_folder()
                lock.release()

    def forget(self) -> None:
        """In a forked child, leaves the path, the lock and the listener to the parent."""
        self._changing = threading.Lock()  # another thread may have held it, which a child does not have
        self._withdrawn = True
        lock, self._lock = self._lock, None
        if lock:
            lock.forget()
        if self._control:
            self._control.close()
        if self._predecessor:
            self._predecessor.close()
        with contextlib.suppress(OSError):
            for name in (self._private, self._private_control):
                let_go(str(name))

    def is_lost(self) -> bool:
        """Whether someone has removed the file, or put another in its place, without taking it over."""
        with self._changing:
            return self._lock is not None and not self._is_own(self._path)

    def has_client(self) -> bool:
        """Tells whether a client is connected to the socket; true where this system does not say."""
        try:
            return is_client_connected(str(self._private))
        except OSError:
            return True

    def _take_lock(self, seconds: float) -> Lock:
        return Lock(self._path.with_name(self._path.name + ".lock"), self._owner, seconds)

    def _rename(self, private: Path, public: Path) -> None:
        found = private.stat()
        self._identities[public] = (found.st_dev, found.st_ino)
        private.rename(public)

    def _is_own(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            found = path.lstat()
            return (found.st_dev, found.st_ino) == self._identities[path]
        return False

    def _remove_if_own(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if self._is_own(path):
                path.unlink()

    def _release(self) -> bool:
        """Lets a successor have the lock; false where this server has none, as it goes."""
        with self._changing:
            lock, self._lock = self._lock, None
            if lock:
                lock.release()
            return lock is not None

    def _retake(self) -> None:
        """Takes the lock again when a successor gave up, however long another holds it: others find the path live."""
        patience = time.monotonic() + _LOCK_SECONDS
        while not self._retake_now():
            if patience and time.monotonic() > patience:
                _LOG.warning("a takeover of %s was given up, and another process still holds its lock", self._path)
                patience = 0
            threading.Event().wait(_RETAKE_PACE_SECONDS)

    def _retake_now(self) -> bool:
        """Whether the lock is there again, or needed no more."""
        with self._changing:
            if self._withdrawn:
                return True
            with contextlib.suppress(BindError):
                self._lock = self._take_lock(0)
            return self._lock is not None

    def _refuse_what_is_not_stale(self) -> None:
        match path_state(self._address):
            case PathState.NOT_A_SOCKET:
                raise NotASocketError(f"{self._path} exists and is not a socket; move it away or choose another path")
            case PathState.LIVE if self._predecessor is None:
                raise SocketInUseError(
                    f"{self._path} has a server already: someone answers there without holding {self._path}.lock; "
                    f"stop that server or choose another path"
                )
            case PathState.FORBIDDEN:
                raise SocketInUseError(
                    f"{self._path} may have a server: this process is not allowed to ask; "
                    f"{describe_permissions(self._path)}; remove the file if nobody serves there"
                )

    def _refuse_foreign_control(self) -> None:
        control = control_path(self._path)
        with contextlib.suppress(FileNotFoundError):
            if control and not stat.S_ISSOCK(control.lstat().st_mode):
                raise NotASocketError(
                    f"{control} is needed to hand {self._path} over and is not a socket; "
                    f"move it away or choose another path"
                )

    def _make_private_folder(self) -> None:
        folder = self._private.parent
        try:
            self._remove_private_folder()
            folder.mkdir(mode=stat.S_IRWXU)
        except OSError as error:
            raise BindError(
                f"cannot create {folder} for the socket {self._path}: {error.strerror}; "
                f"{describe_permissions(folder)}; let this process write there"
            ) from error

    def _remove_private_folder(self) -> None:
        """Removes what this server, or one that was killed while it started, left; safe, as it holds the lock."""
        folder = self._private.parent
        with contextlib.suppress(FileNotFoundError):
            for left in folder.iterdir():
                if stat.S_ISSOCK(left.lstat().st_mode):
                    left.unlink()
            folder.rmdir()


def _listen(private: Path) -> socket.socket:
    """A socket that only this server's own user may dial, and that listens before it gets its public name."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(private))
        private.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def _private_path(address: SocketAddress) -> Path:
    """Where the socket is bound: a random name in a folder beside the path, which has a name of its own for each path.

    It must fit into a socket's address too, so both names get shorter where the path is long.
    """
    folder = address.path.parent
    room = MAX_PATH_BYTES - len(os.fsencode(folder)) - len("/./")
    if room < len("ab"):
        raise BindError(
            f"{address.path} leaves no room for a private name beside it; choose a folder with a shorter name"
        )
    socket_length = min(_SOCKET_NAME_LENGTH, room // 2)
    digest = hashlib.sha256(os.fsencode(address.path.name)).hexdigest()
    private = folder / f".{digest[: min(room - socket_length, _FOLDER_NAME_LENGTH)]}"
    return private / secrets.token_hex(_SOCKET_NAME_LENGTH)[:socket_length]
