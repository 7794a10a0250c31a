"""Folders that stay open, so that no other user can replace one between two steps."""

import contextlib
import errno
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from samehost_common.probe import describe_permissions, reason
from samehost_server.errors import BindError

_OPEN_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""With O_PATH, opening a folder needs no read permission. Only Linux has it."""

_LOG = logging.getLogger("samehost_server")


class Folder:
    """An open folder. `folder / name` is the path of a file in it, even after the folder was renamed.

    Linux resolves `/proc/self/fd/N/name` from the open descriptor. On systems without /proc, such as macOS, the path is
    an ordinary one.

    Raises:
        OSError: the folder cannot be opened.
    """

    def __init__(self, path: Path, flags: int = 0) -> None:
        self._path = path
        self._descriptor = os.open(path, _OPEN_FLAGS | flags)
        held = Path(f"/proc/self/fd/{self._descriptor}")
        self._held = held if held.exists() else path

    def __truediv__(self, name: str) -> Path:
        return self._held / name

    def status(self) -> os.stat_result:
        """Returns the owner and the mode."""
        return os.fstat(self._descriptor)

    def names(self) -> list[str]:
        """Returns the names of the files in the folder. Needs read permission."""
        return [each.name for each in self._held.iterdir()]

    def set_mode(self, mode: int) -> None:
        """Sets the permissions."""
        self._held.chmod(mode)

    def close(self) -> None:
        """Closes the descriptor. A second call has no effect."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor != -1:
            os.close(descriptor)


def open_folder(socket: Path, *, trusted: bool) -> Folder:
    """Opens the folder of a socket.

    Args:
        socket: the path of the socket.
        trusted: accept a folder that every user can write to, and log a warning.

    Raises:
        BindError: the folder does not exist, cannot be opened, or is writable for every user. A user who can write to a
            folder can replace the sockets in it, unless its sticky bit is set (unlink(2)).
    """
    path = socket.parent
    try:
        folder = Folder(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BindError(
            f"cannot listen on {socket}: the folder {path} does not exist; create it or mount it"
        ) from error
    except OSError as error:
        raise BindError(
            f"cannot listen on {socket}: cannot open its folder: {reason(error)}: {describe_permissions(path)}; "
            f"give this process search permission"
        ) from error
    mode = folder.status().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        fault = f"every user can replace the socket, because {path} has mode {stat.S_IMODE(mode):04o}"
        if not trusted:
            folder.close()
            raise BindError(f"cannot listen on {socket}: {fault}; run chmod o-w {path}")
        _LOG.warning("%s: %s", socket, fault)
    return folder


class PrivateFolder(Folder):
    """An open folder in another folder. Only this user can enter it.

    Raises:
        OSError: the folder cannot be opened.
        PermissionError: another user owns the folder or can enter it.
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
        """Removes the folder and the sockets in it, and closes it. A second call has no effect."""
        if self._descriptor != -1:
            for name in _names(self):
                with contextlib.suppress(OSError):
                    if stat.S_ISSOCK((self / name).lstat().st_mode):
                        (self / name).unlink()
            self.close()
            with contextlib.suppress(OSError):
                (self._parent / self._name).rmdir()


def make_private_folder(parent: Folder, prefix: str) -> PrivateFolder:
    """Creates a private folder.

    Args:
        parent: the folder to create it in.
        prefix: the start of its name, by which `sweep` finds it if this process is killed.

    Raises:
        OSError: the system cannot create it, or another user replaced it.
    """
    name = prefix + random_name()
    (parent / name).mkdir(mode=stat.S_IRWXU)
    try:
        made = PrivateFolder(parent, name)
    except OSError:  # for example, because no descriptor is free
        with contextlib.suppress(OSError):
            (parent / name).rmdir()
        raise
    mode = made.status().st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:  # the umask cleared some bits
        made.set_mode(mode & stat.S_ISGID | stat.S_IRWXU)  # chmod(2) may clear the set-gid bit
    return made


def sweep(parent: Folder, prefix: str) -> None:
    """Removes the private folders of killed servers. The caller has to hold the lock of the path."""
    for name in _names(parent):
        if name.startswith(prefix):
            with contextlib.suppress(OSError):
                PrivateFolder(parent, name).remove()


def random_name() -> str:
    """Returns a name that another user cannot guess: there are too many to create them all first."""
    return secrets.token_hex(4)


def _names(folder: Folder) -> Iterator[str]:
    with contextlib.suppress(OSError):  # a folder can be writable without being readable
        yield from folder.names()
