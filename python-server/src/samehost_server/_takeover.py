"""The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.

Both talk over a socket beside the path, which is its owner's alone to dial: whoever could dial it could make the server
go. Lines of JSON say what has happened; a connection that ends says that the other one is gone.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from samehost_proto import MAX_PATH_BYTES
from samehost_server.errors import SocketInUseError

_ANSWER_SECONDS = 5.0
"""How long a server may take to release its lock, which takes it less than a millisecond."""

_LINE_BYTES = 4096

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
            released = _receive(self._connection) == _RELEASED
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
        listener: a socket that listens at `control_path`.
        release: releases the lock; false where there is none to release, as the server goes already.
        retake: takes the lock again, when a successor has given up.
        handed_over: called when a successor has published.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        release: Callable[[], bool],
        retake: Callable[[], None],
        handed_over: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._release = release
        self._retake = retake
        self._handed_over = handed_over
        threading.Thread(target=self._listen, name="samehost-takeover", daemon=True).start()

    def close(self) -> None:
        """Listens no more; whoever waits for an answer gets none."""
        with suppress(OSError):  # unlike close, it wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
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
            if _receive(connection) == _PUBLISHED:
                return True
        self._retake()
        return False


def _send(connection: socket.socket, message: dict[str, str]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket) -> object:
    """The next line; None where the connection ends or says no JSON."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LINE_BYTES and (more := connection.recv(_LINE_BYTES)):
        line += more
    with suppress(ValueError):
        return json.loads(line)
    return None
