"""The end of a program in bounded time, whatever its handlers do."""

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

from samehost_server import _processwide
from samehost_server._wakeups import Wakeup

_HURRIED_SECONDS = 1.0
"""How long a program may take from the second signal to its end."""


class Watchdog:
    """Ends the process when it outlasts the first stop signal, or the end of its server, by so many seconds.

    A handler may block the event loop, or a thread for which asyncio.run waits when the loop ends. The program's own
    code is not cut short: there is none after the server but what `atexit` has.

    Args:
        seconds: how long.
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
        self._stop(at_once=False)  # it goes on hearing signals, which nobody else does from now on

    def _stop(self, at_once: bool) -> None:
        deadline = time.monotonic() + (_HURRIED_SECONDS if at_once else self._seconds)
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)
        self._wakeup.wake()

    def _watch(self) -> None:
        while self._deadline is None or time.monotonic() < self._deadline:
            self._wakeup.wait(_HURRIED_SECONDS if self._deadline is None else self._deadline - time.monotonic())
        sys.stdout.flush()
        os._exit(self._code)
