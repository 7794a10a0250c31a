"""Servers and channels of both engines. In each test, at least one end is native."""

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native
import samehost_native.aio

WITHIN = 20.0
"""Seconds before a test fails. The steps take milliseconds."""


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        yield Path(folder) / "app.sock"


def server_sockets(path: Path) -> set[str]:
    """Returns the inodes of the established connections to a socket, on the side of the server."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    established = "03"
    return {line[6] for line in lines if line[-1] == str(path) and line[5] == established}


class Loop:
    """An event loop in a new thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WITHIN)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WITHIN)
        self.loop.close()


@contextlib.contextmanager
def listening(path: Path) -> Iterator[int]:
    """Listens on the socket and yields the descriptor."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener.fileno()


@contextlib.contextmanager
def serving(path: Path, handlers: dict[str, Any], **options: Any) -> Iterator[samehost_native.Server]:
    """Runs a synchronous native server with methods of `/test.Test/`."""
    server = samehost_native.Server(**options)
    server.add_registered_method_handlers("test.Test", handlers)
    with listening(path) as descriptor:
        server.listen(descriptor)
    server.start()
    try:
        yield server
    finally:
        assert server.stop(None).wait(WITHIN)


@contextlib.contextmanager
def serving_async(path: Path, handlers: dict[str, Any], **options: Any) -> Iterator[samehost_native.aio.Server]:
    """Runs an asyncio native server with methods of `/test.Test/`, in a loop in another thread."""
    loop = Loop()

    async def start() -> samehost_native.aio.Server:
        server = samehost_native.aio.Server(**options)
        server.add_registered_method_handlers("test.Test", handlers)
        with listening(path) as descriptor:
            server.listen(descriptor)
        await server.start()
        return server

    try:
        server = loop.run(start())
        try:
            yield server
        finally:
            loop.run(server.stop(None))
    finally:
        loop.close()


def grpcio_channel(path: Path) -> grpc.Channel:
    """Returns a channel of grpcio to the socket."""
    return grpc.insecure_channel(f"unix:{path}")


def native_channel(path: Path) -> Any:
    """Returns a native channel to the socket."""
    return samehost_native.Channel(str(path))


@pytest.fixture(params=[native_channel, grpcio_channel], ids=["native client", "grpcio client"])
def channel(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    with request.param(path) as channel:
        yield channel
