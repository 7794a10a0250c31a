"""The running servers of this process, and the events that concern all of them: stop signals, exit and forks."""

import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from typing import NamedTuple


class RunningServer(NamedTuple):
    """The actions on one server of the process."""

    stop: Callable[[bool], None]
    """Requests a stop, without grace if the argument is True. Does not wait, because signal handlers call it."""

    leave: Callable[[], None]
    """Removes its files when the interpreter exits."""

    forget: Callable[[], None]
    """Leaves everything to the parent, in a forked child."""


_running: tuple[RunningServer, ...] = ()
"""Replaced as a whole and never changed, because a signal handler may read it at any time."""

_changing = threading.Lock()


def register(server: RunningServer) -> None:
    """Adds a server."""
    global _running  # noqa: PLW0603 - the process is global
    with _changing:
        _running = (*_running, server)


def unregister(server: RunningServer) -> None:
    """Removes a server."""
    global _running  # noqa: PLW0603
    with _changing:
        _running = tuple(each for each in _running if each is not server)


def stop_all(*, at_once: bool) -> bool:
    """Requests a stop of all servers; False if there are no servers. Safe in a signal handler."""
    servers = _running
    for server in servers:
        server.stop(at_once)
    return bool(servers)


@atexit.register
def _leave_all() -> None:
    for server in _running:
        with contextlib.suppress(OSError):  # the other servers still have to remove their files
            server.leave()


def _forget_all() -> None:
    global _running, _changing  # noqa: PLW0603
    forgotten, _running = _running, ()
    _changing = threading.Lock()  # a thread that this process does not have may have held it
    for server in forgotten:
        server.forget()


os.register_at_fork(after_in_child=_forget_all)
