"""The servers that run in this process, and what happens to all of them: stop signals, its end, and its forks."""

import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from typing import NamedTuple


class RunningServer(NamedTuple):
    """What is done to one server of the process."""

    stop: Callable[[bool], None]
    """Asks it to stop, at once where true, and does not wait: signal handlers call it."""

    leave: Callable[[], None]
    """Lets it leave nothing behind, as the interpreter ends."""

    forget: Callable[[], None]
    """Lets it let go of what is the parent's, in a forked child."""


_running: tuple[RunningServer, ...] = ()
"""Replaced as a whole and never changed, as a signal handler may read it at any instant."""

_changing = threading.Lock()


def register(server: RunningServer) -> None:
    """Lets a server take part, until `unregister`."""
    global _running  # noqa: PLW0603 - there is one process
    with _changing:
        _running = (*_running, server)


def unregister(server: RunningServer) -> None:
    """Leaves a server out from now on."""
    global _running  # noqa: PLW0603
    with _changing:
        _running = tuple(each for each in _running if each is not server)


def stop_all(*, at_once: bool) -> bool:
    """Asks all servers to stop, and tells whether there are any; safe in a signal handler."""
    servers = _running
    for server in servers:
        server.stop(at_once)
    return bool(servers)


@atexit.register
def _leave_all() -> None:
    for server in _running:
        with contextlib.suppress(OSError):  # the others leave all the same
            server.leave()


def _forget_all() -> None:
    global _running, _changing  # noqa: PLW0603
    forgotten, _running = _running, ()
    _changing = threading.Lock()  # another thread may have held it, which this process does not have
    for server in forgotten:
        server.forget()


os.register_at_fork(after_in_child=_forget_all)
