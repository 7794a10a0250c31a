"""SIGTERM and SIGINT, which stop the servers of a process.

`wait` listens to them. A program that can be told to stop before it waits, as in a container where it is process 1 and
the system would ignore the signal, calls `listen` first of all.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from samehost_server._processwide import stop_all

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def listen() -> None:
    """Listens to SIGTERM and SIGINT from now on to the end of the process: a server that starts later stops at once.

    Where no server has started when a second one comes, it raises SystemExit.

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
        signal.signal(number, _do_nothing)  # Python complains aloud of one that came just before it is to be ignored
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


class StopSignals:
    """SIGTERM and SIGINT stop every server of the process, side by side; the second one, at once.

    The handlers that the program had are called, too, and are there again afterwards, except those that would break the
    program off: Python's own for SIGINT, and that of asyncio.Runner.
    """

    def __init__(self) -> None:
        self._listeners = 0
        self._heard = 0
        self._process = 0
        self._is_telling = False
        self._before: dict[int, Any] = {}

    @property
    def heard(self) -> bool:
        """Whether one came since somebody listens."""
        return bool(self._listeners and self._heard)

    def listen(self) -> None:
        """Listens from now on, in the main thread; a handler that the program has set since the last time is kept."""
        if not self._listeners:
            self._heard = 0
        self._listeners += 1
        self._process = os.getpid()
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            # What the program ignores, as the shell lets it do in the background, stays ignored.
            if handler not in (self._hear, signal.SIG_IGN):
                self._before[number] = handler
                signal.signal(number, self._hear)

    def forget(self) -> None:
        """In a forked child, which has no server, gives the signals back."""
        self._restore()
        self._listeners = self._heard = 0

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
            if self._listeners == 1:
                self._restore()
            self._listeners -= 1

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that was forked this instant
            self.forget()
            signal.raise_signal(number)
            return
        self._heard += 1
        is_stopping = self._tell()
        before = self._before[number]
        if callable(before) and not _breaks_off(before):
            before(number, frame)
        elif self._heard > 1 and not is_stopping:  # the program does something else, which may last
            raise SystemExit(0)

    def _tell(self) -> bool:
        """Tells all servers, and returns whether there are any."""
        if self._is_telling:  # this handler has interrupted itself, and what it has interrupted looks again
            return True
        self._is_telling = is_stopping = True
        try:
            told = 0
            while told != self._heard:
                told = self._heard
                is_stopping = stop_all(at_once=told > 1)
        finally:
            self._is_telling = False
        return is_stopping

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


os.register_at_fork(after_in_child=STOP.forget)
