"""Wakes threads that wait, from other threads and from signal handlers."""

import contextlib
import select
import socket
import threading


class Wakeup:
    """Wakes the one thread that waits in `wait`. If it does not wait yet, its next `wait` returns at once.

    Uses a byte in a socket, because threading.Event has a lock that is not reentrant: a signal handler that interrupts
    the thread that holds the lock would wait forever.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    def wake(self) -> None:
        """Wakes the waiting thread."""
        with contextlib.suppress(OSError):  # the socket is full, or closed because nobody waits any more
            self._writer.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Waits for a wake, or until the time is over."""
        if self._poll.poll(max(0.0, seconds) * 1000):
            self._reader.recv(4096)

    def close(self) -> None:
        """Closes the descriptors."""
        self._writer.close()
        self._reader.close()


class Latch:
    """Opens once for all threads that wait. A signal handler may wait, because `open` needs no lock."""

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    def open(self) -> None:
        """Releases all threads that wait."""
        self._closed.release()

    def wait(self, seconds: float = -1) -> bool:
        """Waits until the latch is open or the time is over, and returns whether it is open. -1 waits forever."""
        if not self._closed.acquire(timeout=seconds):
            return False
        self._closed.release()
        return True
