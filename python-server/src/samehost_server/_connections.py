"""Finds out whether clients are connected to a listening Unix socket, which grpc does not tell."""

import select
import socket
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")
"""The open descriptors of this process, on Linux and macOS alike."""


def is_client_connected(name: str) -> bool:
    """Tells whether this process has a connection that was accepted by the socket bound to a name, or has one waiting.

    An accepted socket has the name of its listener (unix(7)), so the descriptors of this process are asked for theirs.
    /proc/net/unix would not do: it lists an accepted socket in the network namespace of the client.

    Args:
        name: the path that was bound, which a listener keeps when its file is renamed or removed.

    Raises:
        OSError: the descriptors can't be listed.
    """
    return any(_is_connection(int(each.name), name) for each in _DESCRIPTORS.iterdir())


def _is_connection(descriptor: int, name: str) -> bool:
    try:
        # SOCK_NONBLOCK: otherwise a default timeout, where the program has set one, would change the descriptor's mode.
        borrowed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, fileno=descriptor)
    except OSError:  # it was closed meanwhile
        return False
    try:
        if borrowed.getsockname() != name:
            return False
        return not borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or _is_readable(descriptor)
    except OSError:  # no socket
        return False
    finally:
        borrowed.detach()  # it is grpc's to close


def _is_readable(descriptor: int) -> bool:
    """Whether a connection waits in the queue of a listener."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
