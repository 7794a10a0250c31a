"""The life of a socket's file, as PROTOCOL.md has it: private, public, removed."""

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from samehost_proto import MAX_PATH_BYTES, NotASocketError, SocketAddress
from samehost_proto.probe import PathState, describe_permissions, path_state
from samehost_server._lock import Lock
from samehost_server.errors import BindError, SocketInUseError

_PRIVATE_NAME_LENGTH = 8
"""Hexadecimal digits, so that two paths of one folder share a private name once in 4 billion."""


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
        self._private = _private_path(address)
        self._identity: tuple[int, int] | None = None

    def claim(self) -> str:
        """Locks the path and returns the private address to bind.

        Raises:
            SocketInUseError: another server holds the lock, or answers at the path.
            NotASocketError: something other than a socket is at the path.
            BindError: the folder is missing or can't be written to.
        """
        self._lock = Lock(self._path.with_name(self._path.name + ".lock"), self._owner)
        self._refuse_what_is_not_stale()
        self._make_private_folder()
        return str(SocketAddress(self._private))

    def publish(self) -> None:
        """Gives the bound socket its group and mode and renames it onto the path; from now on it is found.

        Raises:
            BindError: the system refuses the group, the mode or the name.
        """
        try:
            if self._gid is not None:
                os.chown(self._private, -1, self._gid)
            self._private.chmod(self._mode)
            found = self._private.stat()
            self._identity = (found.st_dev, found.st_ino)
            self._private.rename(self._path)
            self._private.parent.rmdir()
        except OSError as error:
            raise BindError(
                f"cannot publish {self._path} with mode {self._mode:04o} and group {self._gid}: {error.strerror}; "
                f"{describe_permissions(self._path)}; only a group that this process is in can be given"
            ) from error

    def withdraw(self) -> None:
        """Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        with contextlib.suppress(OSError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._remove_private_folder()
        lock.release()

    def _refuse_what_is_not_stale(self) -> None:
        match path_state(self._address):
            case PathState.NOT_A_SOCKET:
                raise NotASocketError(f"{self._path} exists and is not a socket; move it away or choose another path")
            case PathState.LIVE:
                raise SocketInUseError(
                    f"{self._path} has a server already: someone answers there without holding {self._path}.lock; "
                    f"stop that server or choose another path"
                )
            case PathState.FORBIDDEN:
                raise SocketInUseError(
                    f"{self._path} may have a server: this process is not allowed to ask; "
                    f"{describe_permissions(self._path)}; remove the file if nobody serves there"
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
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(self._private.lstat().st_mode):
                self._private.unlink()
        with contextlib.suppress(FileNotFoundError):
            self._private.parent.rmdir()


def _private_path(address: SocketAddress) -> Path:
    """Where the socket is bound: `s` in a folder beside the path, with a name of its own for each path.

    It must fit into a socket's address too, so the folder's name gets shorter where the path is long.
    """
    folder = address.path.parent
    room = MAX_PATH_BYTES - len(os.fsencode(folder)) - len("/./s")
    if room < 1:
        raise BindError(
            f"{address.path} leaves no room for a private name beside it; choose a folder with a shorter name"
        )
    digest = hashlib.sha256(os.fsencode(address.path.name)).hexdigest()
    return folder / f".{digest[: min(room, _PRIVATE_NAME_LENGTH)]}" / "s"
