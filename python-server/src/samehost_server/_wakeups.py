"""Waking threads that wait, from any other one and from a signal handler."""

import contextlib
import select
import socket
import threading


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
        if self._poll.poll(max(0.0, seconds) * 1000):
            self._reader.recv(4096)

    def close(self) -> None:
        """Frees its descriptors."""
        self._writer.close()
        self._reader.close()


class Latch:
    """Opens once, for all who wait. A signal handler may wait for it, as no lock of Python's is held meanwhile."""

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    def open(self) -> None:
        """Lets all go on."""
        self._closed.release()

    def wait(self, seconds: float = -1) -> bool:
        """Waits, without end where no time is given; whether it is open."""
        if not self._closed.acquire(timeout=seconds):
            return False
        self._closed.release()
        return True
