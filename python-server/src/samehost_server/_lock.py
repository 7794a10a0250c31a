"""The exclusive lock on a sidecar file that keeps two servers off one path."""

import contextlib
import fcntl
import json
import os
import socket
import stat
import struct
import sys
import threading
import time
from pathlib import Path

from samehost_common.probe import describe_permissions
from samehost_server._folder import Folder
from samehost_server.errors import BindError, SocketInUseError


def _lock_of_whole_file(kind: int) -> bytes:
    """The struct flock of fcntl(2) on a 64-bit system: a length of 0 is "to the end"."""
    start = length = pid = 0
    if sys.platform == "darwin":
        packed = struct.pack("@qqihh", start, length, pid, kind, os.SEEK_SET)
    else:
        packed = struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, length, pid)
    return packed


_OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""Python has none on some systems, where flock alone keeps servers apart."""

_MODE = 0o600

_PACE_SECONDS = 0.005
"""How often to try: the system tells no one when a lock is released but whoever waits without a deadline."""


class Lock:
    """Holds `path` locked from construction to `release`; the system releases it when the process dies.

    Two locks are taken, because neither kind stops the other: flock(2), which most languages use, and
    a record lock, which Java's `FileChannel.tryLock` uses. The record lock is Linux's open file
    description lock: a POSIX one would be lost as soon as this process closed any other descriptor
    of the file (fcntl(2)).

    The file stays when the lock is released: if it were removed, one server could lock the removed
    file while the next locks a new one. What it says of its owner is only there to be read.

    Whoever may open the file may lock it, so it must be this server's alone: a regular file with one name and mode
    0600, of this user, of root or of the folder's owner.

    Args:
        folder: where the lock file is, which is made if it is not there.
        path: of the socket.
        owner: the implementation, for the file.
        seconds: how long to try while someone else holds it; 0 tries once.

    Raises:
        SocketInUseError: someone else holds the lock.
        BindError: the file can't be opened, is not a lock file, or is another user's.
    """

    def __init__(self, folder: Folder, path: Path, owner: str, seconds: float) -> None:
        self._socket = path
        self._path = path.with_name(path.name + ".lock")
        try:
            # O_NONBLOCK: someone may have put a FIFO there.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._descriptor = os.open(folder / self._path.name, flags, _MODE)
        except OSError as error:
            raise BindError(
                f"cannot open the lock file {self._path}: {error.strerror}; {describe_permissions(self._path)}; "
                f"let this process write there"
            ) from error
        try:
            self._refuse_what_others_may_lock({os.geteuid(), 0, folder.status().st_uid})
            self._take_within(seconds)
            self._write(owner)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Lets the next server have the path, also where a child that was forked meanwhile has the file open."""
        self._set_record_lock(fcntl.F_UNLCK)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def forget(self) -> None:
        """In a forked child, leaves the lock to the parent."""
        os.close(self._descriptor)

    def _refuse_what_others_may_lock(self, owners: set[int]) -> None:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise BindError(
                f"{self._path} is needed as a lock file and is no regular file with one name; "
                f"remove it, or choose another name for the socket"
            )
        if found.st_uid not in owners:
            raise BindError(
                f"the lock file {self._path} belongs to uid {found.st_uid}, who could keep this server from starting; "
                f"remove it, or choose a folder that only this user may write to"
            )
        try:
            os.fchmod(self._descriptor, _MODE)
        except OSError as error:
            if stat.S_IMODE(found.st_mode) != _MODE:
                raise BindError(
                    f"the lock file {self._path} has mode {stat.S_IMODE(found.st_mode):04o}, and others could hold it; "
                    f"run chmod 600 {self._path}"
                ) from error

    def _take_within(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._take()
            except SocketInUseError:
                if time.monotonic() >= deadline:
                    raise
                threading.Event().wait(_PACE_SECONDS)
            else:
                return

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._set_record_lock(fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError) as error:  # POSIX lets a record lock say either
            raise SocketInUseError(
                f"{self._socket} has a server already: {self._owner() or 'someone'} holds "
                f"{self._path}; stop that server or choose another path"
            ) from error
        except OSError as error:
            raise BindError(
                f"cannot lock {self._path}: {error.strerror}; choose a folder on a file system that has locks"
            ) from error

    def _set_record_lock(self, kind: int) -> None:
        if _OFD_SETLK is not None:
            fcntl.fcntl(self._descriptor, _OFD_SETLK, _lock_of_whole_file(kind))

    def _owner(self) -> str | None:
        """What the file says of its owner; None where it says nothing that a server wrote."""
        text = os.pread(self._descriptor, 4096, 0)
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            owner = json.loads(text)
            described = f"{owner['implementation']}, process {owner['pid']} on host {owner['host']},"
            if described.isprintable():  # a terminal obeys control characters
                return described
        return None

    def _write(self, owner: str) -> None:
        if os.fstat(self._descriptor).st_size and self._owner() is None:
            raise BindError(
                f"{self._path} is needed as a lock file and holds something else; "
                f"choose another name for the socket, or move that file away"
            )
        record = {"pid": os.getpid(), "host": socket.gethostname(), "implementation": owner}
        os.ftruncate(self._descriptor, 0)
        try:
            os.pwrite(self._descriptor, json.dumps(record).encode() + b"\n", 0)
        except OSError as error:
            raise BindError(
                f"cannot write the lock file {self._path}: {error.strerror}; make room on its file system"
            ) from error
