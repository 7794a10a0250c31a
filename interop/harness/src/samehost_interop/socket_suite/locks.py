"""The lock file of a path, as PROTOCOL.md has it."""

import fcntl
import os
import struct
from pathlib import Path
from typing import TextIO

WHOLE_FILE = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""struct flock of fcntl(2) on 64-bit Linux, for writing."""


def lock_of(path: Path) -> Path:
    """Where the lock of a path is."""
    return path.with_name(f"{path.name}.lock")


def take(file: TextIO) -> bool:
    """Takes both kinds of lock of an open file, until it is closed; false where someone else holds one."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, WHOLE_FILE)
    except (BlockingIOError, PermissionError):
        return False
    return True


def lockable(path: Path) -> bool:
    """Whether both kinds of lock could be had: a server holds at least the kind that its language has."""
    with lock_of(path).open("r+") as file:
        return take(file)
