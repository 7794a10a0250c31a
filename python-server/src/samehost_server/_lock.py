"""The exclusive lock on a file beside the socket, so that only one server uses the path."""

import contextlib
import errno
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

from samehost_common.probe import describe_permissions, reason
from samehost_server._folder import Folder
from samehost_server.errors import BindError, SocketInUseError


def _lock_of_whole_file(kind: int) -> bytes:
    """Returns the struct flock of fcntl(2) on a 64-bit system. A length of 0 means the whole file."""
    start = length = pid = 0
    if sys.platform == "darwin":
        packed = struct.pack("@qqihh", start, length, pid, kind, os.SEEK_SET)
    else:
        packed = struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, length, pid)
    return packed


_OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""None on systems where Python has no such locks. There, flock alone keeps servers apart."""

_MODE = 0o600

_NOT_REGULAR = (errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""The errors of opening a folder, a symbolic link and a socket."""

_PACE_SECONDS = 0.005
"""The pause between two attempts. The system has no way to wait for a lock with a deadline."""

_RECORD_SECONDS = 0.25
"""How long to wait for the name of the holder. A server writes it 75 µs after it took the lock."""


class Lock:
    """Locks a path from construction to `release`. The system releases the lock when the process dies.

    Takes two locks, because they do not exclude each other: flock(2), which most languages use, and a record lock,
    which `FileChannel.tryLock` of Java uses. The record lock is an open file description lock of Linux, because a
    process loses a POSIX lock as soon as it closes any other descriptor of the file (fcntl(2)).

    `release` keeps the file. If it removed the file, one server could lock the removed file while another locks a new
    one. The file describes its owner only for error messages.

    A user who can open the file can lock it. So it has to be a regular file with one name and mode 0600 that belongs to
    this user, to root or to the owner of the folder.

    Args:
        folder: the folder of the lock file, which is created if it does not exist.
        path: the path of the socket.
        owner: the name of the implementation, for the file.
        seconds: how long to retry while another process holds the lock; 0 tries once.

    Raises:
        SocketInUseError: another process holds the lock.
        BindError: the file cannot be opened or locked, is not a lock file, or belongs to another user.
    """

    def __init__(self, folder: Folder, path: Path, owner: str, seconds: float) -> None:
        self._cannot = f"cannot listen on {path}"
        self._path = path.with_name(path.name + ".lock")
        try:
            # O_NONBLOCK: it may be a FIFO of another user.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._descriptor = os.open(folder / self._path.name, flags, _MODE)
        except OSError as error:
            if error.errno in _NOT_REGULAR:
                raise self._is_not_regular() from error
            raise BindError(
                f"{self._cannot}: cannot open {self._path}: {reason(error)}: {describe_permissions(self._path)}; "
                f"start this server as that user, or use a folder with write permission and space"
            ) from error
        try:
            self._refuse_what_others_may_lock({os.geteuid(), 0, folder.status().st_uid})
            self._take_within(seconds)
            self._write(owner)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Releases the lock, even if a forked child still has the file open."""
        self._set_record_lock(fcntl.F_UNLCK)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def forget(self) -> None:
        """Leaves the lock to the parent, in a forked child."""
        os.close(self._descriptor)

    def _refuse_what_others_may_lock(self, owners: set[int]) -> None:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise self._is_not_regular()
        if found.st_uid not in owners:
            raise BindError(
                f"{self._cannot}: {self._path} belongs to uid {found.st_uid}, who could block this server; "
                f"remove it or use a folder that only this user can write to"
            )
        try:
            os.fchmod(self._descriptor, _MODE)
        except OSError as error:
            if stat.S_IMODE(found.st_mode) != _MODE:
                raise BindError(
                    f"{self._cannot}: {self._path} has mode {stat.S_IMODE(found.st_mode):04o}, "
                    f"so that other users could lock it: {reason(error)}; run chmod 600 {self._path}"
                ) from error

    def _is_not_regular(self) -> BindError:
        return BindError(
            f"{self._cannot}: {self._path} is not a regular file with one name; remove it or use another path"
        )

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
        except (BlockingIOError, PermissionError) as error:  # POSIX allows both for a record lock
            raise SocketInUseError(
                f"{self._cannot}: {self._holder()} holds {self._path}; "
                f"stop that server, replace it with takeover, or use another path"
            ) from error
        except OSError as error:
            raise BindError(
                f"{self._cannot}: cannot lock {self._path}: {reason(error)}; use a file system that has locks"
            ) from error

    def _set_record_lock(self, kind: int) -> None:
        if _OFD_SETLK is not None:
            fcntl.fcntl(self._descriptor, _OFD_SETLK, _lock_of_whole_file(kind))

    def _holder(self) -> str:
        """Describes the process that holds the lock. A server that has just taken it has not written its name yet."""
        deadline = time.monotonic() + _RECORD_SECONDS
        while (owner := self._owner()) is None and time.monotonic() < deadline:
            threading.Event().wait(_PACE_SECONDS)
        return owner or "another process"

    def _owner(self) -> str | None:
        """Describes the owner that the file names; None if no server wrote the file."""
        text = os.pread(self._descriptor, 4096, 0)
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            owner = json.loads(text)
            described = f"{owner['implementation']}, process {owner['pid']} on host {owner['host']},"
            if described.isprintable():  # control characters could control the terminal
                return described
        return None

    def _write(self, owner: str) -> None:
        if os.fstat(self._descriptor).st_size and self._owner() is None:
            raise BindError(
                f"{self._cannot}: {self._path} holds the data of another program; move it or use another path"
            )
        record = {"pid": os.getpid(), "host": socket.gethostname(), "implementation": owner}
        os.ftruncate(self._descriptor, 0)
        try:
            os.pwrite(self._descriptor, json.dumps(record).encode() + b"\n", 0)
        except OSError as error:
            raise BindError(
                f"{self._cannot}: cannot write {self._path}: {reason(error)}; free space on its file system"
            ) from error
