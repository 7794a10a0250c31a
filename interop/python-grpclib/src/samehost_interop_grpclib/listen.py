"""The life of a socket's file, as PROTOCOL.md has it: locked, bound in private, published, withdrawn."""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from samehost_interop_grpclib.lock import InUseError, Lock
from samehost_interop_grpclib.takeover import Predecessor, control_path, hand_over
from samehost_proto import MAX_PATH_BYTES, NotASocketError, SamehostError, SocketAddress
from samehost_proto.probe import PathState, describe_permissions, path_state

_PRIVATE_NAME_DIGITS = 8

_RELEASED_LOCK_SECONDS = 2.0
"""How long to try for a lock that a predecessor or a successor has just released."""

_LOG = logging.getLogger(__name__)


class SocketFile:
    """One server's hold on a path: `bind`, begin to serve on what it returns, `publish`, and `withdraw` in the end.

    Args:
        address: where clients are to find the socket.
        mode: its permissions; connecting takes write permission (unix(7)).
        group: the number of its group; None leaves the process's own.
    """

    def __init__(self, address: SocketAddress, *, mode: int, group: int | None) -> None:
        self._address = address
        self._path = address.path
        self._mode = mode
        self._group = group
        self._folder = _private_folder(address)
        self._private = self._folder / "s"
        self._private_control = self._folder / "t"
        self._lock: Lock | None = None
        """None while a successor may have it."""
        self._identities: dict[Path, tuple[int, int]] = {}
        self._predecessor: Predecessor | None = None
        self._control: socket.socket | None = None
        self._successors: asyncio.Task[None] | None = None

    async def bind(self, *, takeover: bool = False) -> socket.socket:
        """Locks the path, and binds a socket where nobody can connect to it yet.

        bind(2) makes a file of mode 0777 less the umask, and a chmod comes too late for who was quick: so it is
        made in a folder that only this user may enter, and gets its mode and group there.

        Args:
            takeover: have a server that has the path hand it over.

        Raises:
            SamehostError: another server has the path, or it can't be had; what to do is in the message.
        """
        await self._take_lock(takeover=takeover)
        self._refuse_what_is_not_stale()
        self._refuse_foreign_control()
        listener = socket.socket(socket.AF_UNIX)
        try:
            self._remove_private()
            self._folder.mkdir(mode=stat.S_IRWXU)
            listener.bind(str(self._private))
            if self._group is not None:
                os.chown(self._private, -1, self._group)
            self._private.chmod(self._mode)
            self._listen_for_successors()
        except OSError as error:
            listener.close()
            raise SamehostError(
                f"cannot make a socket for {self._path} with mode {self._mode:04o} and group {self._group}: "
                f"{error.strerror}; {describe_permissions(self._path.parent)}; let this process write there, "
                f"and give a group that it is in"
            ) from error
        return listener

    def publish(self, handed_over: Callable[[], None]) -> None:
        """Lets the socket be found, now that calls succeed; rename(2) replaces a stale file in the same instant.

        Args:
            handed_over: called when the path is a successor's: it is time to go.
        """
        control = control_path(self._path)
        try:
            # That for successors first: a server that fails or dies in between has taken no path away.
            if control:
                self._rename(self._private_control, control)
            self._rename(self._private, self._path)
            self._folder.rmdir()
        except OSError as error:
            raise SamehostError(
                f"cannot publish {self._path}: {error.strerror}; {describe_permissions(self._path)}; "
                f"let this process write there"
            ) from error
        # Only now: a predecessor that goes leaves names alone that are not its own.
        if self._predecessor:
            self._predecessor.tell_published()
        if listener := self._control:
            self._successors = asyncio.create_task(self._await_successor(listener, handed_over))
            # Those who wait in its queue are hung up on, even if the task is cancelled before it begins.
            self._successors.add_done_callback(lambda _: listener.close())

    def withdraw(self) -> None:
        """Removes the file if it is still this server's own, and releases the lock; doing it twice is harmless."""
        if self._successors:
            self._successors.cancel()
        elif self._control:
            self._control.close()
        if self._lock is None and self._identities:  # released to a successor, who may have gone since
            with contextlib.suppress(SamehostError):
                self._lock = Lock(self._path)
        lock, self._lock = self._lock, None
        if lock:  # without it, a successor may put its own there between the look and the removal
            for path in self._identities:
                with contextlib.suppress(OSError):
                    if self._is_own(path):
                        path.unlink()
            with contextlib.suppress(OSError):
                self._remove_private()
            lock.release()
        self._identities.clear()
        if self._predecessor:
            self._predecessor.close()

    def is_lost(self) -> bool:
        """Whether someone has removed the file, or put another in its place, without taking it over."""
        return self._lock is not None and not self._is_own(self._path)

    async def _take_lock(self, *, takeover: bool) -> None:
        try:
            self._lock = Lock(self._path)
        except InUseError:
            if not takeover:
                raise
            self._predecessor = await Predecessor.ask(self._path)
            self._lock = await Lock.within(self._path, _RELEASED_LOCK_SECONDS)

    def _listen_for_successors(self) -> None:
        if control_path(self._path):
            self._control = socket.socket(socket.AF_UNIX)
            self._control.setblocking(False)
            self._control.bind(str(self._private_control))
            self._private_control.chmod(stat.S_IRUSR | stat.S_IWUSR)
            self._control.listen()

    async def _await_successor(self, control: socket.socket, handed_over: Callable[[], None]) -> None:
        try:
            await hand_over(control, self._release, self._retake)
        except OSError as error:  # too many open files, for example
            _LOG.warning("%s can't be taken over any more: %s", self._path, error)
        else:
            handed_over()

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock:  # there is none if it could not be taken again
            lock.release()

    async def _retake(self) -> None:
        """Takes the lock again when a successor gave up; even without it, others find the path live."""
        try:
            self._lock = await Lock.within(self._path, _RELEASED_LOCK_SECONDS)
        except SamehostError as error:
            _LOG.warning("a takeover of %s was given up, and its lock can't be had again: %s", self._path, error)

    def _rename(self, private: Path, public: Path) -> None:
        found = private.stat()
        self._identities[public] = (found.st_dev, found.st_ino)
        private.rename(public)

    def _is_own(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            found = path.lstat()
            return (found.st_dev, found.st_ino) == self._identities.get(path)
        return False

    def _refuse_what_is_not_stale(self) -> None:
        match path_state(self._address):
            case PathState.NOT_A_SOCKET:
                raise NotASocketError(f"{self._path} exists and is not a socket; move it away or choose another path")
            case PathState.LIVE if self._predecessor is None:
                raise SamehostError(
                    f"{self._path} has a server already: someone answers there without holding {self._path}.lock; "
                    f"stop that server or choose another path"
                )
            case PathState.FORBIDDEN:
                raise SamehostError(
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

    def _remove_private(self) -> None:
        """Removes what this server has left, or one that was killed while it started; whose lock is held now."""
        with contextlib.suppress(FileNotFoundError):
            for left in self._folder.iterdir():
                if stat.S_ISSOCK(left.lstat().st_mode):
                    left.unlink()
            self._folder.rmdir()


def _private_folder(address: SocketAddress) -> Path:
    """A folder beside the path, with a name that depends on the path's alone, and that leaves room in an address."""
    folder = address.path.parent
    room = MAX_PATH_BYTES - len(os.fsencode(folder)) - len("/./s")
    if room < 1:
        raise SamehostError(f"{address.path} leaves no room for a private name beside it; choose a shorter folder")
    digest = hashlib.sha256(os.fsencode(address.path.name)).hexdigest()
    return folder / f".{digest[: min(room, _PRIVATE_NAME_DIGITS)]}"
