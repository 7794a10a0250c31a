"""The lock beside a socket that keeps two servers off one path."""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
from pathlib import Path
from typing import Self

import grpclib

from samehost_proto import SamehostError
from samehost_proto.probe import describe_permissions

IMPLEMENTATION = "grpclib"

# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length (0 is "to the end"), pid, padding.
_WHOLE_FILE_FOR_WRITING = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

_PACE_SECONDS = 0.005
"""How often to try for a lock: whoever waits for one with flock(2) does so without a deadline, and blocks the loop."""


class InUseError(SamehostError):
    """Another server has the path."""


class Lock:
    """Holds `<path>.lock` from construction to `release`; the system releases it when the process dies.

    It takes both kinds of lock, as neither stops the other: flock(2), and a record lock, which is all that Java has.
    F_OFD_SETLK's belongs to the open file; F_SETLK's would be lost as soon as anyone in this process closed the file
    (fcntl(2)). The file stays: if it were removed, the next server could lock a new one beside this one's.

    Raises:
        InUseError: another server holds it.
        SamehostError: the file can't be opened, or is not a lock file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.with_name(f"{path.name}.lock")
        try:
            # 0600: whoever may open the file may lock it, and clients must not be able to.
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError as error:
            raise SamehostError(f"no folder {path.parent} for the socket {path}; create it or mount it") from error
        except OSError as error:
            raise SamehostError(
                f"cannot open the lock file {self._file}: {error.strerror}; {describe_permissions(self._file)}; "
                f"let this process write there"
            ) from error
        try:
            self._take()
            self._sign()
        except BaseException:
            self.release()
            raise

    @classmethod
    async def within(cls, path: Path, seconds: float) -> Self:
        """Tries for so long, for one that was just released: a third server has it while it finds the path live."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                return cls(path)
            except InUseError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            await asyncio.sleep(_PACE_SECONDS)

    def release(self) -> None:
        """Lets the next server have the path."""
        os.close(self._descriptor)

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE_FOR_WRITING)
        except (BlockingIOError, PermissionError) as error:  # POSIX lets a record lock say either
            raise InUseError(
                f"{self._path} has a server already: {self._owner() or 'someone'} holds {self._file}; "
                f"stop that server or choose another path"
            ) from error
        except OSError as error:
            raise SamehostError(
                f"cannot lock {self._file}: {error.strerror}; choose a folder on a file system that has locks"
            ) from error

    def _owner(self) -> str | None:
        """What the file says of its owner; None where it says nothing that a server wrote."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            owner = json.loads(os.pread(self._descriptor, 4096, 0))
            return f"{owner['implementation']}, process {owner['pid']} on host {owner['host']},"
        return None

    def _sign(self) -> None:
        if os.fstat(self._descriptor).st_size and self._owner() is None:
            raise SamehostError(
                f"{self._file} is needed as a lock file and holds something else; "
                f"choose another name for the socket than {self._path}, or move that file away"
            )
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "implementation": f"{IMPLEMENTATION} {grpclib.__version__}",
        }
        os.ftruncate(self._descriptor, 0)
        try:
            os.pwrite(self._descriptor, json.dumps(owner).encode() + b"\n", 0)
        except OSError as error:
            raise SamehostError(
                f"cannot write the lock file {self._file}: {error.strerror}; make room on its file system"
            ) from error
