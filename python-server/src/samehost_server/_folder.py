"""Folders that are held open, so that nobody can put another in the place of one between two steps."""

import contextlib
import errno
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from samehost_common.probe import describe_permissions
from samehost_server.errors import BindError

_OPEN_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""O_PATH needs no permission to read the folder. Only Linux has it."""

_LOG = logging.getLogger("samehost_server")


class Folder:
    """An open folder. `folder / name` is a path to what is in it, wherever the folder is renamed to.

    Linux resolves `/proc/self/fd/N/name` from the open descriptor. Where there is no such file system, as on macOS,
    the path is an ordinary one.

    Raises:
        OSError: the folder can't be opened.
    """

    def __init__(self, path: Path, flags: int = 0) -> None:
        self._path = path
        self._descriptor = os.open(path, _OPEN_FLAGS | flags)
        held = Path(f"/proc/self/fd/{self._descriptor}")
        self._held = held if held.exists() else path

    def __truediv__(self, name: str) -> Path:
        return self._held / name

    def status(self) -> os.stat_result:
        """The owner and the mode."""
        return os.fstat(self._descriptor)

    def names(self) -> list[str]:
        """The names of what is in the folder, which needs the permission to read it."""
        return [each.name for each in self._held.iterdir()]

    def set_mode(self, mode: int) -> None:
        """Sets the permissions."""
        self._held.chmod(mode)

    def close(self) -> None:
        """Closes the descriptor; doing it twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor != -1:
            os.close(descriptor)


def open_folder(socket: Path, *, trusted: bool) -> Folder:
    """Opens the folder of a socket.

    Args:
        socket: the path of the socket.
        trusted: accept a folder that every user may write to.

    Raises:
        BindError: there is no such folder, or every user may write to it. Whoever may write to a folder may replace
            the sockets in it, unless its sticky bit is set (unlink(2)).
    """
    path = socket.parent
    try:
        folder = Folder(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BindError(f"no folder {path} for the socket {socket}; create it or mount it") from error
    except OSError as error:
        raise BindError(
            f"cannot open the folder of {socket}: {error.strerror}; {describe_permissions(path)}"
        ) from error
    mode = folder.status().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        fault = f"every user can replace the socket {socket}: {path} has mode {stat.S_IMODE(mode):04o}"
        if not trusted:
            folder.close()
            raise BindError(
                f"{fault}; run chmod o-w {path}, or set trust_folder if you trust everyone who can reach it"
            )
        _LOG.warning("%s", fault)
    return folder


class PrivateFolder(Folder):
    """An open folder in another one, which only this user may enter.

    Raises:
        OSError: it can't be opened.
        PermissionError: another user owns it, or may enter it.
    """

    def __init__(self, parent: Folder, name: str) -> None:
        super().__init__(parent / name, os.O_NOFOLLOW)
        self._parent = parent
        self._name = name
        found = self.status()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.close()
            raise PermissionError(errno.EPERM, f"{name} is open to another user")

    def remove(self) -> None:
        """Removes the folder and the sockets in it, and closes it; doing it twice is harmless."""
        if self._descriptor != -1:
            for name in _names(self):
                with contextlib.suppress(OSError):
                    if stat.S_ISSOCK((self / name).lstat().st_mode):
                        (self / name).unlink()
            self.close()
            with contextlib.suppress(OSError):
                (self._parent / self._name).rmdir()


def make_private_folder(parent: Folder, prefix: str) -> PrivateFolder:
    """Makes a new private folder. The prefix of its name is for `sweep`, if this process is killed.

    Raises:
        OSError: the system refuses it, or someone put another folder in its place.
    """
    name = prefix + random_name()
    (parent / name).mkdir(mode=stat.S_IRWXU)
    try:
        made = PrivateFolder(parent, name)
    except OSError:  # no descriptor is left, for example
        with contextlib.suppress(OSError):
            (parent / name).rmdir()
        raise
    mode = made.status().st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:  # the umask took some
        made.set_mode(mode & stat.S_ISGID | stat.S_IRWXU)  # chmod(2) may clear the bit that hands the group down
    return made


def sweep(parent: Folder, prefix: str) -> None:
    """Removes the private folders that killed servers have left. The caller holds the lock of the path."""
    for name in _names(parent):
        if name.startswith(prefix):
            with contextlib.suppress(OSError):
                PrivateFolder(parent, name).remove()


def random_name() -> str:
    """One of so many names that nobody can make all of them first."""
    return secrets.token_hex(4)


def _names(folder: Folder) -> Iterator[str]:
    with contextlib.suppress(OSError):  # a folder that can be written to may be unreadable
        yield from folder.names()
