"""What is at the path of a socket, found out by looking and dialling: both ends ask, each for its own errors."""

import enum
import errno
import os
import socket
import stat
from pathlib import Path

from samehost_common.address import SocketAddress
from samehost_common.errors import SamehostError


class PathState(enum.Enum):
    """What is at the path of an address."""

    ABSENT = "nothing is there"
    NOT_A_SOCKET = "something other than a socket is there"
    STALE = "a socket is there and nobody listens on it"
    FORBIDDEN = "a socket is there and this process may not connect to it"
    LIVE = "a socket is there and someone listens on it"


def path_state(address: SocketAddress) -> PathState:
    """Looks at the path and, where it is a socket, dials it; never waits, never changes anything.

    A socket that is bound but does not listen yet looks STALE (connect(2) gives ECONNREFUSED for
    both), which is why servers are kept apart by a lock and not by this.
    """
    try:
        mode = address.path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return PathState.ABSENT
    except PermissionError:
        return PathState.FORBIDDEN
    except OSError as error:
        raise SamehostError(f"cannot look at {address.path}: {error.strerror}; check the folder it is in") from error
    if not stat.S_ISSOCK(mode):
        return PathState.NOT_A_SOCKET
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        match probe.connect_ex(str(address.path)):
            case errno.ECONNREFUSED:
                return PathState.STALE
            case errno.ENOENT:
                return PathState.ABSENT
            case errno.EACCES | errno.EPERM:
                return PathState.FORBIDDEN
            case _:  # connected, or EAGAIN: its backlog is full, so someone listens
                return PathState.LIVE


def describe_permissions(path: Path) -> str:
    """Says whose the path is (or, where it can't be seen, the folder above), with which mode, and who asks."""
    for visible in (path, *path.parents):
        try:
            found = visible.stat()
        except OSError:
            continue
        groups = " ".join(str(group) for group in sorted({os.getegid(), *os.getgroups()}))
        return (
            f"{visible} belongs to uid {found.st_uid} and gid {found.st_gid} with mode "
            f"{stat.S_IMODE(found.st_mode):04o}, and this process is uid {os.geteuid()} with gids {groups}"
        )
    return f"nothing above {path} can be seen"
