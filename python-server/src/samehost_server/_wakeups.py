"""Waking a thread that waits, from any other one and from a signal handler."""

import contextlib
import select
import socket


class Wakeup:
    """Wakes the one thread that waits in `wait`; a wake that comes first is not lost.

    A byte in a socket does it, as threading.Event takes a lock that is not reentrant: a signal handler which interrupts
    the thread that holds it would wait for it forever.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    def wake(self) -> None:
        """Wakes the waiting thread."""
        with contextlib.suppress(OSError):  # it has more to read than it needs, or waits no more
            self._writer.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Returns when it is woken, or when the time is over."""
        if self._poll.poll(seconds * 1000):
            self._reader.recv(4096)

    def close(self) -> None:
        """Frees its descriptors."""
        self._writer.close()
        self._reader.close()
