"""Finds the descriptors of a listening socket and its connections in this process. grpc does not expose them."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_DESCRIPTORS = Path("/dev/fd")
"""The open descriptors of this process, on Linux and macOS alike."""

_KIND = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
"""Without the flag, which macOS lacks, a default timeout of the program would change the mode of a borrowed socket."""


def is_client_connected(name: str) -> bool:
    """Whether this process has an accepted connection of the socket bound to a name, or one that waits to be accepted.

    Reads the name of every socket of this process, because an accepted socket has the name of its listener (unix(7)).
    /proc/net/unix does not help: it lists an accepted socket in the network namespace of the client.

    Args:
        name: the path that was bound. A listener keeps it when its file is renamed or removed.

    Raises:
        OSError: the descriptors cannot be listed.
    """
    return any(_is_connected(descriptor) or _is_readable(descriptor) for descriptor in _descriptors(name))


def close_copies(name: str) -> None:
    """Closes the copies that a forked child has of its parent's listener bound to a name and of its connections.

    Otherwise, after the parent exits, clients would connect to a listener and wait on connections that nobody serves.
    The numbers of the descriptors stay in use, because grpc still considers them its own.

    Args:
        name: the path that was bound.

    Raises:
        OSError: the descriptors cannot be listed.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for descriptor in list(_descriptors(name)):
            os.dup2(null, descriptor, inheritable=False)
    finally:
        os.close(null)


def _descriptors(name: str) -> Iterator[int]:
    """Yields the descriptors of the sockets with a name."""
    for each in _DESCRIPTORS.iterdir():
        descriptor = int(each.name)
        try:
            found = _call(descriptor, socket.socket.getsockname)
        except OSError:  # it is not a socket, or it was closed in the meantime
            continue
        if found == name:
            yield descriptor


def _is_connected(descriptor: int) -> bool:
    """Whether a socket has a peer. A listener has none. SO_ACCEPTCONN always fails on macOS (dotnet/runtime 34986)."""
    try:
        _call(descriptor, socket.socket.getpeername)
    except OSError:
        return False
    return True


def _call(descriptor: int, method: Callable[[socket.socket], Any]) -> Any:
    borrowed = socket.socket(socket.AF_UNIX, _KIND, fileno=descriptor)
    try:
        return method(borrowed)
    finally:
        borrowed.detach()  # grpc closes it


def _is_readable(descriptor: int) -> bool:
    """Whether a connection waits in the queue of a listener, or the peer of a connection has closed it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
