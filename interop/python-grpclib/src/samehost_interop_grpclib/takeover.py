"""How a path goes from the server that has it to its successor, as PROTOCOL.md has it under Takeover.

They talk over a socket beside the path, which only its owner may dial: whoever could dial it could make the server go.
What they say is JSON, a line each, and a connection that ends without it says that the other one has given up or died.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from samehost_interop_grpclib.lock import InUseError
from samehost_proto import MAX_PATH_BYTES

_ANSWER_SECONDS = 5.0
"""How long a server may take to release its lock, which takes it less than a millisecond."""

_LINE_BYTES = 4096

_RELEASED = {"event": "released"}
_PUBLISHED = {"event": "published"}


def control_path(path: Path) -> Path | None:
    """Where the server at `path` listens for its successor; None where that name is too long for a socket."""
    control = path.with_name(f"{path.name}.takeover")
    return control if len(os.fsencode(control)) <= MAX_PATH_BYTES else None


class Predecessor:
    """The server that has the path and has released its lock: `tell_published`, or `close` to give up."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @classmethod
    async def ask(cls, path: Path) -> Self:
        """Asks it to release its lock.

        Raises:
            InUseError: it can't be asked, or it does not.
        """
        control = control_path(path)
        if control is None:
            raise InUseError(f"{path} can't be taken over: its name leaves no room for .takeover; stop its server")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(control, limit=_LINE_BYTES)
                with contextlib.ExitStack() as stack:
                    stack.callback(writer.close)
                    if await _receive(reader) == _RELEASED:
                        stack.pop_all()
                        return cls(writer)
        except OSError as error:  # a TimeoutError too
            reason = error.strerror or f"no answer within {_ANSWER_SECONDS:g} s"
            raise InUseError(
                f"{path} can't be taken over: nobody answers at {control}: {reason}; stop its server"
            ) from error
        raise InUseError(f"{path} can't be taken over: its server goes, or another takes over; try again")

    def tell_published(self) -> None:
        """Says that the path is its successor's now, so that it drains and goes; it may have gone already."""
        _send(self._writer, _PUBLISHED)
        self._writer.close()

    def close(self) -> None:
        """Hangs up: unless it was told, the server takes its lock again and serves on."""
        self._writer.close()


async def hand_over(
    listener: socket.socket, release: Callable[[], None], retake: Callable[[], Awaitable[None]]
) -> None:
    """Answers successors, one at a time, and returns when one has published.

    Args:
        listener: a socket that listens at `control_path`.
        release: releases the lock.
        retake: takes it again, when a successor has given up.
    """
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        reader, writer = await asyncio.open_connection(sock=connection, limit=_LINE_BYTES)
        with contextlib.closing(writer):
            release()
            _send(writer, _RELEASED)
            # Without a deadline, as a server may take long to start; one that dies is hung up by the system.
            if await _receive(reader) == _PUBLISHED:
                return
        await retake()


def _send(writer: asyncio.StreamWriter, message: dict[str, str]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")


async def _receive(reader: asyncio.StreamReader) -> object:
    """The next line; None where the connection ends, or where it is no JSON."""
    # Whoever waits in the queue of a listener that closes gets ECONNRESET.
    with contextlib.suppress(ConnectionError, ValueError):
        return json.loads(await reader.readline())
    return None
