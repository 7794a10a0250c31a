"""The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.

Both talk over a socket beside the path, which is its owner's alone to dial: whoever could dial it could make the server
go. Lines of JSON say what has happened; a connection that ends says that the other one is gone.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from samehost_common import MAX_PATH_BYTES
from samehost_server.errors import SocketInUseError

_ANSWER_SECONDS = 5.0
"""How long a server may take to release its lock, which takes it less than a millisecond."""

_SILENCE_SECONDS = 5.0
"""How long a successor may be silent without the lock, for which it tries for 2 s."""

_PACE_SECONDS = 0.05

_TRIES_BEFORE_WARNING = 40
"""2 s: a third server may hold the lock for a moment, while it finds the path live."""

_LEAST_SECONDS = 0.001
"""The shortest time-out of a socket: 0 would have it not wait at all."""

_LINE_BYTES = 4096

_LOG = logging.getLogger("samehost_server")

_RELEASED = {"event": "released"}
_PUBLISHED = {"event": "published"}


def control_path(path: Path) -> Path | None:
    """Where a server listens for its successor; None where the name would be too long for a socket."""
    control = path.with_name(path.name + ".takeover")
    return control if len(bytes(control)) <= MAX_PATH_BYTES else None


class Predecessor:
    """The server that has the path, as its successor meets it.

    Raises:
        SocketInUseError: it can't be asked, or does not release its lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        control = control_path(path)
        if control is None:
            raise SocketInUseError(
                f"{path} can't be taken over: its name leaves no room for .takeover; stop its server"
            )
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.connect(str(control))
            released = _Lines(self._connection).next(_ANSWER_SECONDS) == _RELEASED
        except OSError as error:
            self._connection.close()
            raise SocketInUseError(
                f"{path} can't be taken over: nobody answers at {control}: {error.strerror or error}; stop its server"
            ) from error
        if not released:
            self._connection.close()
            raise SocketInUseError(f"{path} can't be taken over: its server goes, or another takes over; try again")

    def tell_published(self) -> None:
        """Says that the path is the successor's now, so that the predecessor drains and goes."""
        with suppress(OSError):  # it has gone already
            _send(self._connection, _PUBLISHED)
        self._connection.close()

    def close(self) -> None:
        """Gives up: the predecessor takes its lock again and goes on."""
        self._connection.close()


class Successors:
    """Listens for a successor, one at a time, in a thread of its own.

    Args:
        path: what is handed over, for the log.
        listener: a socket that listens at `control_path`.
        release: releases the lock; false where there is none to release, as the server goes already.
        retake: tries to take the lock again, when a successor has given up; true where it is there, or needed no more.
        handed_over: called when a successor has published.
    """

    def __init__(
        self,
        path: Path,
        listener: socket.socket,
        *,
        release: Callable[[], bool],
        retake: Callable[[], bool],
        handed_over: Callable[[], object],
    ) -> None:
        self._path = path
        self._listener = listener
        self._release = release
        self._retake = retake
        self._handed_over = handed_over
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="samehost-takeover", daemon=True).start()

    def close(self) -> None:
        """Listens no more; whoever waits for an answer gets none."""
        self._closed.set()
        with suppress(OSError):  # unlike close, it wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:  # it was closed; or no descriptor is left, which passes
                self._closed.wait(_PACE_SECONDS)
                continue
            with connection:
                if self._hand_over(connection):
                    self._handed_over()
                    return

    def _hand_over(self, connection: socket.socket) -> bool:
        """Whether the successor has published."""
        if not self._release():
            return False
        with suppress(OSError):  # a successor that dies has given up
            _send(connection, _RELEASED)
            lines = _Lines(connection)
            while True:
                try:
                    if lines.next(_SILENCE_SECONDS) == _PUBLISHED:
                        return True
                    break
                except TimeoutError:
                    if self._retake():  # it does not even hold the lock
                        if not self._closed.is_set():
                            _LOG.warning("a successor that wanted to take %s over said nothing more", self._path)
                        return False
        tries = 0
        while not self._retake():
            tries += 1
            if tries == _TRIES_BEFORE_WARNING:
                _LOG.warning("a takeover of %s failed, and another process holds its lock", self._path)
            self._closed.wait(_PACE_SECONDS)
        return False


def _send(connection: socket.socket, message: dict[str, str]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


class _Lines:
    """The lines of JSON that come over a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def next(self, seconds: float) -> object:
        """The next line; None where the connection ends or says no JSON.

        Raises:
            TimeoutError: it takes longer; what has come is kept for the next time.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._read and len(self._read) < _LINE_BYTES:
            self._connection.settimeout(max(deadline - time.monotonic(), _LEAST_SECONDS))
            more = self._connection.recv(_LINE_BYTES)
            if not more:
                break
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        with suppress(ValueError, RecursionError):
            return json.loads(line)
        return None
