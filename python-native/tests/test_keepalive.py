"""Keepalive: an end that does not answer a ping loses its connection."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native
import samehost_native.aio
from conftest import WITHIN, serving, serving_async

# RFC 9113, 3.4, 4.1 and 6.7.
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
PING, ACK = 6, 1


def frames(connection: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Yields type, flags and payload of each frame until the other end closes the connection."""
    with connection.makefile("rb") as file, contextlib.suppress(ConnectionResetError):
        while header := file.read(9):
            yield header[3], header[4], file.read(int.from_bytes(header[:3], "big"))


@pytest.fixture(params=[serving, serving_async], ids=["sync", "aio"])
def start(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """Connects without answering pings."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WITHIN)
        client.connect(str(path))
        client.sendall(PREFACE)
        yield client


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listens without answering pings."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WITHIN)
        listener.bind(str(path))
        listener.listen()
        yield listener


def accepted(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.settimeout(WITHIN)
    connection.sendall(SETTINGS)
    assert connection.recv(24, socket.MSG_WAITALL) == PREFACE[:24]
    return connection


def test_a_server_closes_a_connection_whose_ping_is_unanswered(path: Path, start: Any) -> None:
    with start(path, {}, keepalive=(0.1, 0.1, True)), connected(path) as client:
        assert [kind for kind, flags, _ in frames(client) if (kind, flags) == (PING, 0)] == [PING]


def test_a_server_keeps_a_connection_whose_pings_are_answered(path: Path, start: Any) -> None:
    with start(path, {}, keepalive=(0.05, WITHIN, True)), connected(path) as client:
        answered = 0
        for kind, _, payload in frames(client):
            if kind == PING:
                client.sendall(b"\0\0\x08" + bytes([PING, ACK]) + b"\0\0\0\0" + payload)
                answered += 1
            if answered == 5:
                return
        pytest.fail("the server closed the connection")


def test_a_server_sends_no_ping_without_calls(path: Path, start: Any) -> None:
    with start(path, {}, keepalive=(0.05, 0.05, False)), connected(path) as client:
        assert not is_pinged(client, 0.5)


def is_pinged(connection: socket.socket, within: float) -> bool:
    connection.settimeout(within)
    try:
        return PING in (kind for kind, _, _ in frames(connection))
    except TimeoutError:
        return False


def call(path: Path) -> None:
    with samehost_native.Channel(str(path), keepalive=(0.1, 0.1, False)) as channel:
        channel.unary_unary("/test.Test/Echo")(b"", timeout=WITHIN)


def call_async(path: Path) -> None:
    async def call() -> None:
        async with samehost_native.aio.Channel(str(path), keepalive=(0.1, 0.1, False)) as channel:
            await channel.unary_unary("/test.Test/Echo")(b"", timeout=WITHIN)

    asyncio.run(call())


@pytest.mark.parametrize("call", [call, call_async], ids=["sync", "aio"])
def test_a_call_fails_if_the_server_does_not_answer_a_ping(path: Path, call: Callable[[Path], None]) -> None:
    with listening(path) as listener, ThreadPoolExecutor(1) as pool:
        failing = pool.submit(call, path)
        with accepted(listener) as server:
            assert is_pinged(server, WITHIN)
            failed = failing.exception(WITHIN)
    assert isinstance(failed, grpc.RpcError)
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert failed.details() == f"the connection to {path} failed: the peer sent nothing within 100ms after a ping"


@pytest.mark.parametrize("permitted", [False, True])
def test_a_client_sends_pings_without_calls_if_it_is_permitted(path: Path, *, permitted: bool) -> None:
    channel = samehost_native.Channel(str(path), keepalive=(0.05, 0.05, permitted))
    with listening(path) as listener, channel:
        channel.engine.connect()
        with accepted(listener) as server:
            assert is_pinged(server, WITHIN if permitted else 0.5) is permitted
