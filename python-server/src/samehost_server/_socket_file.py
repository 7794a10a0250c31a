"""The life of a socket's file, as PROTOCOL.md has it: private, public, removed."""

import contextlib
import hashlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from samehost_common import NotASocketError, SamehostError, SocketAddress
from samehost_common.probe import PathState, describe_permissions, path_state
from samehost_server._connections import is_client_connected, let_go
from samehost_server._folder import Folder, PrivateFolder, make_private_folder, open_folder, random_name, sweep
from samehost_server._lock import Lock
from samehost_server._takeover import Predecessor, Successors, control_path
from samehost_server.errors import BindError, SocketInUseError

_DIGEST_LENGTH = 8
"""Hexadecimal digits, so that two paths of one folder find each other's private folders once in 4 billion."""

_LOCK_SECONDS = 2.0
"""How long to try for a lock that was just released: a third server may hold it while it finds the path live."""


class SocketFile:
    """One server's hold on a path: `claim`, bind, `publish`, serve, `withdraw`.

    The socket is bound in a private folder beside the path, which nobody else may enter, is given its
    mode and group there, and is renamed onto the path when it serves. So whoever finds a file at the
    path finds one that serves, and never one with a wider mode.

    Everything is named relative to folders that are held open: another user who may write to the folder can
    replace what he finds there, and still can't make the server change or remove a file of somebody else.
    """

    _folder: Folder
    _private: PrivateFolder
    _bound = Path()

    def __init__(
        self, address: SocketAddress, *, mode: int, gid: int | None, owner: str, trust_folder: bool = False
    ) -> None:
        self._path = address.path
        self._mode = mode
        self._gid = gid
        self._owner = owner
        self._trust_folder = trust_folder
        digest = hashlib.sha256(os.fsencode(self._path.name)).hexdigest()
        self._prefix = f".{digest[:_DIGEST_LENGTH]}"
        self._lock: Lock | None = None
        self._changing = threading.Lock()
        """Held while the lock changes hands, which successors do in a thread of their own."""
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
            takeover: ask a server that has the path to hand it over.

        Raises:
            SocketInUseError: another server holds the lock, or answers at the path, or does not hand it over.
            NotASocketError: something other than a socket is at the path.
            BindError: the folder is missing, can't be written to, or can be written to by every user.
        """
        self._folder = open_folder(self._path, trusted=self._trust_folder)
        self._closing.callback(self._folder.close)
        lock = self._take_over() if takeover else self._take_lock(0)
        with self._changing:
            if self._withdrawn:  # by someone who did not wait
                lock.release()
                raise BindError(f"the server of {self._path} was stopped while it started")
            self._lock = lock
        self._refuse_what_is_not_stale()
        self._refuse_foreign_control()
        self._make_private_folder()
        return SocketAddress(self._bound)

    def publish(self, handed_over: Callable[[], object]) -> None:
        """Gives the bound socket its group and mode and renames it onto the path; from now on it is found.

        Args:
            handed_over: called, in another thread, when a successor has taken the path over.

        Raises:
            SocketInUseError: someone has put something at the path since `claim`.
            BindError: the system refuses the group, the mode or the name.
        """
        control = control_path(self._path)
        try:
            if self._gid is not None:
                os.chown(self._bound, -1, self._gid)
            self._bound.chmod(self._mode)
            if _look(self._folder / self._path.name) not in (None, self._found):
                raise SocketInUseError(
                    f"someone put another file at {self._path} while this server started; it is kept: move it away or "
                    f"choose another path"
                )
            if control:
                private_control = self._private / random_name()
                self._control = _listen(private_control)
                self._rename(private_control, control.name)
            self._rename(self._bound, self._path.name)
        except OSError as error:
            raise BindError(
                f"cannot publish {self._path} with mode {self._mode:04o} and group {self._gid}: {error.strerror}; "
                f"{describe_permissions(self._path)}; only a group that this process is in can be given"
            ) from error
        self._private.remove()
        if not self._predecessor:  # which keeps its sockets' names in such a folder
            sweep(self._folder, self._prefix)
        # Only now: whoever hears of it may remove or rename what is beside the path.
        if self._predecessor:
            self._predecessor.tell_published()
        if self._control:
            self._successors = Successors(
                self._path, self._control, release=self._release, retake=self._retake, handed_over=handed_over
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
            if self._withdrawn:
                return
            self._withdrawn = True
            if self._identities and not self._lock:  # a successor has it, or has hung
                with contextlib.suppress(BindError):
                    self._lock = self._take_lock(0)
            lock, self._lock = self._lock, None
            if lock:  # otherwise a successor may rename its own there in the instant between look and removal
                for name in self._identities:
                    self._remove_if_own(name)
            if self._kept:
                self._kept.remove()
            self._closing.close()
            if lock:
                lock.release()

    def forget(self) -> None:
        """In a forked child, leaves the path, the lock and the listener to the parent."""
        self._changing = threading.Lock()  # another thread may have held it, which a child does not have
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
            let_go(str(self._bound))

    def is_lost(self) -> bool:
        """Whether someone has removed the file, or put another in its place, without taking it over."""
        with self._changing:
            return self._lock is not None and _identity(self._path) != self._identities[self._path.name]

    def has_client(self) -> bool:
        """Tells whether a client is connected to the socket; true where this system does not say."""
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
            # Someone has removed the lock file that the server there holds, or another successor is faster. It may be
            # waiting for this lock.
            lock.release()
        self._predecessor = Predecessor(self._path)
        return self._take_lock(_LOCK_SECONDS)

    def _state(self) -> PathState:
        # Not by the open folder: that may make the path too long to dial.
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
        """Lets a successor have the lock; false where this server has none, as it goes."""
        with self._changing:
            lock, self._lock = self._lock, None
            if lock:
                self._keep_names()
                lock.release()
            return lock is not None

    def _retake(self) -> bool:
        """Tries to take the lock again when a successor gave up; true also where it is needed no more."""
        with self._changing:
            if not self._withdrawn:
                try:
                    lock = self._take_lock(0)
                except BindError:  # another process holds it, or no descriptor is left
                    return False
                try:
                    self._restore_names()
                except (OSError, SamehostError):  # no descriptor is left, for example
                    lock.release()
                    return False
                self._lock = lock
            return True

    def _keep_names(self) -> None:
        """Gives the sockets further names, which `_restore_names` needs where a successor dies with the public ones.

        Where the file system has no hard links, such a server serves on and is not found any more, as `is_lost` says.
        """
        with contextlib.suppress(OSError):
            self._kept = make_private_folder(self._folder, self._prefix)
            for name in self._identities:
                if self._is_own(name):
                    (self._kept / name).hardlink_to(self._folder / name)

    def _restore_names(self) -> None:
        """Gives the sockets their public names again, where a successor has died that had taken them."""
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
            if control and not stat.S_ISSOCK((self._folder / control.name).lstat().st_mode):
                raise NotASocketError(
                    f"{control} is needed to hand {self._path} over and is not a socket; "
                    f"move it away or choose another path"
                )

    def _make_private_folder(self) -> None:
        try:
            self._private = make_private_folder(self._folder, self._prefix)
        except OSError as error:
            raise BindError(
                f"cannot create a private folder beside {self._path}: {error.strerror}; "
                f"{describe_permissions(self._path.parent)}; let this process write there"
            ) from error
        self._closing.callback(self._private.remove)
        # Random: connections are known by it, and C-core unlinks the name that it bound, whatever is there by then.
        self._bound = self._private / random_name()


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, which no other has while this server has its socket; None where there is none."""
    found = _look(path)
    return found and found[:2]


def _look(path: Path) -> tuple[int, int, int] | None:
    """Device, inode and time of modification of a file; None where there is none.

    A file that is made where another was removed often gets its inode.
    """
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino, found.st_mtime_ns
    return None


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
