"""SIGTERM and SIGINT, which stop the servers of a process.

`wait` listens to them. A program that can be told to stop before it waits, as in a container where it is process 1 and
the system would ignore the signal, calls `listen` first of all.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from samehost_server._processwide import stop_all

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def listen() -> None:
    """Listens to SIGTERM and SIGINT from now on to the end of the process: a server that starts later stops at once.

    Raises:
        ValueError: it is not called in the main thread.
    """
    STOP.listen()


def ignore() -> None:
    """Ignores SIGTERM and SIGINT to the end of the process, for a program that has stopped and is about to exit.

    Otherwise one that comes while the interpreter ends makes the exit code -15 of what should be 0.

    Raises:
        ValueError: it is not called in the main thread.
    """
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)


class StopSignals:
    """SIGTERM and SIGINT stop every server of the process, side by side; the second one, at once.

    The handlers that the program had are called, too, and are there again afterwards, except those that would break the
    program off: Python's own for SIGINT, and that of asyncio.Runner.
    """

    def __init__(self) -> None:
        self._listeners = 0
        self._heard = 0
        self._before: dict[int, Any] = {}

    @property
    def heard(self) -> bool:
        """Whether one came since somebody listens."""
        return bool(self._listeners and self._heard)

    def listen(self) -> None:
        """Listens from now on, in the main thread."""
        if not self._listeners:
            self._heard = 0
            self._before = {number: signal.signal(number, self._hear) for number in _NUMBERS}
        self._listeners += 1

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens; in another thread than the main one, where Python has no signals, it does nothing.

        Listeners may be nested or overlap, as tasks do; the handlers come with the first and go with the last.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.listen()
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._restore()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard += 1
        stop_all(at_once=self._heard > 1)
        before = self._before[number]
        if callable(before) and not _breaks_off(before):
            before(number, frame)

    def _restore(self) -> None:
        for number, before in self._before.items():
            # None: a handler that was not installed from Python, which can't be put back. Another than ours: the
            # program has set it meanwhile.
            if before is not None and signal.getsignal(number) == self._hear:
                signal.signal(number, before)


STOP = StopSignals()


def _breaks_off(handler: Callable[..., object]) -> bool:
    """Whether a handler is one of Python's own, which raise KeyboardInterrupt or cancel the main task."""
    function = getattr(handler, "func", handler)
    return handler is signal.default_int_handler or getattr(function, "__module__", None) == "asyncio.runners"
