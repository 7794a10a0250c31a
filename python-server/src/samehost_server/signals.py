"""SIGTERM and SIGINT, which stop the servers of a process.

`wait` handles them. Call `listen` first in a program that can get a signal before it waits. In a container, such a
program is often process 1, for which the system ignores signals without a handler.
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
    """Handles SIGTERM and SIGINT from now on. After a signal, a server that starts stops at once.

    A second signal raises SystemExit if no server has started.

    Raises:
        ValueError: the caller is not in the main thread.
    """
    STOP.listen()


def ignore() -> None:
    """Ignores SIGTERM and SIGINT from now on. Call it in a program that has stopped its servers and is about to exit.

    Otherwise, a signal while the interpreter exits would change the exit code from 0 to -15.

    Raises:
        ValueError: the caller is not in the main thread.
    """
    for number in _NUMBERS:
        signal.signal(number, _do_nothing)  # else Python prints an error for a signal that came just before
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


class StopSignals:
    """Stops every server of the process at SIGTERM and SIGINT. The second signal cuts off the calls in progress.

    The previous handlers of the program are called too, and are restored afterwards. Those that would end the program
    are not called: the default handler of Python for SIGINT, and that of asyncio.Runner.
    """

    def __init__(self) -> None:
        self._listeners = 0
        self._received = 0
        self._process = 0
        self._is_stopping_servers = False
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> bool:
        """Whether a signal came since the first `listen`."""
        return bool(self._listeners and self._received)

    def listen(self) -> None:
        """Handles signals from now on, and calls the handlers that the program has set. Call it in the main thread."""
        if not self._listeners:
            self._received = 0
        self._listeners += 1
        self._process = os.getpid()
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            # A signal that the program ignores stays ignored. A shell starts background programs so.
            if handler not in (self._handle, signal.SIG_IGN):
                self._before[number] = handler
                signal.signal(number, self._handle)

    def forget(self) -> None:
        """Restores the previous handlers, in a forked child, which has no server."""
        self._restore()
        self._listeners = self._received = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handles signals in its body. Outside of the main thread, where Python has no signals, it has no effect.

        Its uses may be nested or overlap, as in tasks. The first one sets the handlers, and the last one restores them.
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that was just forked
            self.forget()
            signal.raise_signal(number)
            return
        self._received += 1
        is_stopping = self._stop_servers()
        before = self._before[number]
        if callable(before) and not _ends_program(before):
            before(number, frame)
        elif self._received > 1 and not is_stopping:  # the program is busy with something else, which may take long
            raise SystemExit(0)

    def _stop_servers(self) -> bool:
        """Requests the stop of all servers; False if there are no servers."""
        if self._is_stopping_servers:  # this handler interrupted itself; the outer call handles this signal too
            return True
        self._is_stopping_servers = is_stopping = True
        try:
            handled = 0
            while handled != self._received:
                handled = self._received
                is_stopping = stop_all(at_once=handled > 1)
        finally:
            self._is_stopping_servers = False
        return is_stopping

    def _restore(self) -> None:
        for number, before in self._before.items():
            # None: a handler that was not installed from Python and cannot be restored. A handler other than _handle:
            # the program has set it in the meantime.
            if before is not None and signal.getsignal(number) == self._handle:
                signal.signal(number, before)


STOP = StopSignals()


def _ends_program(handler: Callable[..., object]) -> bool:
    """Whether a handler is one of Python, which raises KeyboardInterrupt or cancels the main task."""
    function = getattr(handler, "func", handler)
    return handler is signal.default_int_handler or getattr(function, "__module__", None) == "asyncio.runners"


os.register_at_fork(after_in_child=STOP.forget)
