"""Notices that someone has removed the file of a server that serves, or put another in its place."""

import threading
from collections.abc import Callable

_PACE_SECONDS = 1.0
"""How often to look: clients that wait for a server dial about as often, and a look takes some microseconds."""


class Watch:
    """Looks again and again, in a thread of its own.

    Args:
        is_lost: whether the file is lost.
        lost: called in that thread, once, when it is.
    """

    def __init__(self, is_lost: Callable[[], bool], lost: Callable[[], None]) -> None:
        self._is_lost = is_lost
        self._lost = lost
        self._closed = threading.Event()
        threading.Thread(target=self._look, name="samehost-watch", daemon=True).start()

    def close(self) -> None:
        """Looks no more."""
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(_PACE_SECONDS):
            if self._is_lost():
                self._lost()
                return
