"""Hands a path over from a running server to its successor, as PROTOCOL.md defines it under Takeover.

Both communicate over a control socket beside the path. Only its owner can connect to it, because a successor makes the
server stop. Each message is a line of JSON. The end of the connection means that the other side has exited.
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
from samehost_common.probe import reason
from samehost_server.errors import SocketInUseError

_ANSWER_SECONDS = 5.0
"""The timeout for a server to release its lock. It takes less than a millisecond."""

_SILENCE_SECONDS = 5.0
"""The timeout for a successor that does not hold the lock. It tries to take the lock for 2 s."""

_PACE_SECONDS = 0.05

_TRIES_BEFORE_WARNING = 40
"""2 s, because a third server may hold the lock for a moment while it checks the path."""

_LEAST_SECONDS = 0.001
"""The minimum timeout of a socket. 0 would mean not to wait."""

_LINE_BYTES = 4096

_LOG = logging.getLogger("samehost_server")

_RELEASED = {"event": "released"}
_PUBLISHED = {"event": "published"}


def control_path(path: Path) -> Path | None:
    """Returns the path of the control socket; None if it is too long for a socket."""
    control = path.with_name(path.name + ".takeover")
    return control if len(bytes(control)) <= MAX_PATH_BYTES else None


class Predecessor:
    """The running server, as its successor sees it. Asks it to release its lock.

    Raises:
        SocketInUseError: the server does not answer, or does not release its lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        control = control_path(path)
        cannot = f"cannot take over {path}"
        if control is None:
            raise SocketInUseError(
                f"{cannot}: its name leaves no room for .takeover; stop its server and start this one"
            )
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.connect(str(control))
            released = _Lines(self._connection).next(_ANSWER_SECONDS) == _RELEASED
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self._connection.close()
            raise SocketInUseError(
                f"{cannot}: no server listens on {control}, so its server allows no takeover, or is starting or "
                f"stopping; stop its server and start this one"
            ) from error
        except OSError as error:
            self._connection.close()
            raise SocketInUseError(
                f"{cannot}: its server does not answer on {control}: {reason(error)}; "
                f"stop it, or kill it if it is blocked, and start this one"
            ) from error
        if not released:
            self._connection.close()
            raise SocketInUseError(f"{cannot}: its server is stopping, or another server is taking over; try again")

    def tell_published(self) -> None:
        """Reports that the successor has the path, so that the predecessor drains and stops."""
        with suppress(OSError):  # it has already exited
            _send(self._connection, _PUBLISHED)
        self._connection.close()

    def close(self) -> None:
        """Cancels the takeover: the predecessor takes its lock again and keeps running."""
        self._connection.close()


class Successors:
    """Listens for successors in its own thread, and answers one at a time.

    Args:
        path: the path of the socket, for the log.
        listener: a socket that listens at `control_path`.
        release: releases the lock. Returns False if the server does not hold it, because it is stopping.
        retake: tries to take the lock again after a failed takeover. Returns True if the server holds it or no longer
            needs it.
        handed_over: called when a successor has published its socket.
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
        """Stops listening. Successors that wait get no answer."""
        self._closed.set()
        with suppress(OSError):  # unlike close, this wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the socket was closed, or no descriptor is free at the moment
                self._closed.wait(_PACE_SECONDS)
                continue
            with connection:
                if self._hand_over(connection):
                    self._handed_over()
                    return

    def _hand_over(self, connection: socket.socket) -> bool:
        """Runs one takeover. True if the successor has published its socket."""
        if not self._release():
            return False
        with suppress(OSError):  # the successor died
            _send(connection, _RELEASED)
            lines = _Lines(connection)
            while True:
                try:
                    if lines.next(_SILENCE_SECONDS) == _PUBLISHED:
                        return True
                    break
                except TimeoutError:
                    if self._retake():  # the successor does not hold the lock
                        if not self._closed.is_set():
                            _LOG.warning("the takeover of %s failed: the successor stopped answering", self._path)
                        return False
        tries = 0
        while not self._retake():
            tries += 1
            if tries == _TRIES_BEFORE_WARNING:
                _LOG.warning("the takeover of %s failed, and another process holds its lock", self._path)
            self._closed.wait(_PACE_SECONDS)
        return False


def _send(connection: socket.socket, message: dict[str, str]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


class _Lines:
    """Reads lines of JSON from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def next(self, seconds: float) -> object:
        """Reads the next line; None if the connection ends or the line is not JSON.

        Raises:
            TimeoutError: the line is not complete in time. The next call continues it.
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
