"""Waiting for a signal, or for another thread, without missing either."""

import contextlib
import signal
import socket
import threading
from types import TracebackType
from typing import Self

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Wakeups:
    """Wakes the one thread that waits in `next`, by a byte for each signal and for each `wake`.

    A handler written in Python runs in the main thread between two of its instructions, so a signal that
    comes just before that thread goes to sleep on a lock is only handled when it wakes, perhaps never.
    The byte that the interpreter itself writes (signal.set_wakeup_fd) is not lost.

    Signals are only listened to in the main thread, and their handlers are put back at the end.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._restore = contextlib.ExitStack()
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._restore.callback(signal.set_wakeup_fd, before)
            for number in STOP_SIGNALS:
                self._restore.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        return self

    def next(self) -> int:
        """Waits; returns the number of the signal, or 0 where it was `wake`."""
        return self._reader.recv(1)[0]

    def wake(self) -> None:
        """Wakes the waiting thread, from any thread."""
        with contextlib.suppress(OSError):  # it waits no more, or has more to read than it needs
            self._writer.send(b"\0")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore.close()
        self._writer.close()
        self._reader.close()
