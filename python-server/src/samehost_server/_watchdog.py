"""Ends a program in bounded time, even if a handler never returns."""

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

from samehost_server import _processwide
from samehost_server._wakeups import Wakeup

_HURRIED_SECONDS = 1.0
"""The maximum time from the second signal to the end of the program."""


class Watchdog:
    """Ends the process a number of seconds after the first stop signal or after the end of its server.

    Without it, a handler could keep the process alive: one that blocks the event loop, or blocks a thread for which
    asyncio.run waits at its end. No code of the program is cut off: after the server, only `atexit` runs.

    Args:
        seconds: the number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None
        self._code = 0
        self._wakeup = Wakeup()
        self._entry = _processwide.RunningServer(stop=self._stop, leave=lambda: None, forget=lambda: None)

    def __enter__(self) -> Self:
        _processwide.register(self._entry)
        threading.Thread(target=self._watch, name="samehost-watchdog", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._code = 1 if error else 0
        self._stop(at_once=False)  # stays registered, because nothing else handles signals from here on

    def _stop(self, at_once: bool) -> None:
        deadline = time.monotonic() + (_HURRIED_SECONDS if at_once else self._seconds)
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)
        self._wakeup.wake()

    def _watch(self) -> None:
        while self._deadline is None or time.monotonic() < self._deadline:
            self._wakeup.wait(_HURRIED_SECONDS if self._deadline is None else self._deadline - time.monotonic())
        sys.stdout.flush()
        os._exit(self._code)
