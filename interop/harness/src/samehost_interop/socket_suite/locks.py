"""The lock file of a path, as PROTOCOL.md defines it."""

import fcntl
import os
import struct
from pathlib import Path
from typing import TextIO

WHOLE_FILE = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""struct flock of fcntl(2) on 64-bit Linux: a write lock on the whole file."""


def lock_of(path: Path) -> Path:
    """Return the lock file of a path."""
    return path.with_name(f"{path.name}.lock")


def take(file: TextIO) -> bool:
    """Take both kinds of lock on an open file, until it is closed. Return false if another process holds one."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, WHOLE_FILE)
    except (BlockingIOError, PermissionError):
        return False
    return True


def lockable(path: Path) -> bool:
    """Return whether both kinds of lock are free. A server holds at least the kind that its language supports."""
    with lock_of(path).open("r+") as file:
        return take(file)
