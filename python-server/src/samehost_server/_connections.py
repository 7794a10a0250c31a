"""The descriptors that a process has of a listening Unix socket and its connections, of which grpc tells nothing."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_DESCRIPTORS = Path("/dev/fd")
"""The open descriptors of this process, on Linux and macOS alike."""

_KIND = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
"""Without the flag, which macOS does not have, a default timeout of the program would change the mode of a borrowed
socket."""


def is_client_connected(name: str) -> bool:
    """Tells whether this process has a connection that was accepted by the socket bound to a name, or has one waiting.

    An accepted socket has the name of its listener (unix(7)), so the descriptors of this process are asked for theirs.
    /proc/net/unix would not do: it lists an accepted socket in the network namespace of the client.

    Args:
        name: the path that was bound, which a listener keeps when its file is renamed or removed.

    Raises:
        OSError: the descriptors can't be listed.
    """
    return any(_is_connected(descriptor) or _is_readable(descriptor) for descriptor in _descriptors(name))


def let_go(name: str) -> None:
    """Closes what a forked child has of its parent's listener bound to a name, and of the connections it accepted.

    Otherwise clients would go on dialling a listener, and waiting on a connection, that nobody serves when the parent
    has gone. The numbers of the descriptors stay taken, as grpc still believes them to be its own.

    Args:
        name: the path that was bound.

    Raises:
        OSError: the descriptors can't be listed.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for descriptor in list(_descriptors(name)):
            os.dup2(nothing, descriptor, inheritable=False)
    finally:
        os.close(nothing)


def _descriptors(name: str) -> Iterator[int]:
    """Yields the descriptors of sockets with this name."""
    for each in _DESCRIPTORS.iterdir():
        descriptor = int(each.name)
        try:
            found = _ask(descriptor, socket.socket.getsockname)
        except OSError:  # no socket, or it was closed meanwhile
            continue
        if found == name:
            yield descriptor


def _is_connected(descriptor: int) -> bool:
    """Whether a socket has a peer, as no listener has; SO_ACCEPTCONN always fails on macOS (dotnet/runtime 34986)."""
    try:
        _ask(descriptor, socket.socket.getpeername)
    except OSError:
        return False
    return True


def _ask(descriptor: int, question: Callable[[socket.socket], Any]) -> Any:
    borrowed = socket.socket(socket.AF_UNIX, _KIND, fileno=descriptor)
    try:
        return question(borrowed)
    finally:
        borrowed.detach()  # it is grpc's to close


def _is_readable(descriptor: int) -> bool:
    """Whether a connection waits in the queue of a listener, or a peer has hung up."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
