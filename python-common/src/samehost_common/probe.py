"""The state of a socket's path, found by a look and a connection. Server and client derive their errors from it."""

import enum
import errno
import os
import socket
import stat
from pathlib import Path

from samehost_common.address import SocketAddress
from samehost_common.errors import SamehostError


class PathState(enum.Enum):
    """What exists at the path of an address."""

    ABSENT = "no file exists at the path"
    NOT_A_SOCKET = "a file that is not a socket exists at the path"
    STALE = "a socket exists at the path, and no server listens on it"
    FORBIDDEN = "a socket exists at the path, and this process may not connect to it"
    LIVE = "a server listens on the socket at the path"


def path_state(address: SocketAddress) -> PathState:
    """Looks at the path and, if it is a socket, connects to it. Never waits and never changes anything.

    A socket that is bound but does not listen yet is STALE, because connect(2) returns ECONNREFUSED for both. That is
    why a lock keeps servers apart, and not this function.

    Raises:
        SamehostError: the system cannot look up the path.
    """
    try:
        mode = address.path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return PathState.ABSENT
    except PermissionError:
        return PathState.FORBIDDEN
    except OSError as error:
        raise SamehostError(f"cannot look up {address.path}: {reason(error)}; check its folder") from error
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
            case _:  # connected, or EAGAIN: a server listens, and its backlog is full
                return PathState.LIVE


def describe_permissions(path: Path) -> str:
    """Describes the owner and the mode of a path, or of the first folder above it that is visible, and this process."""
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


def reason(error: OSError) -> str:
    """Returns the system's text of an error in lower case, such as "permission denied"."""
    return (error.strerror or str(error)).lower()
