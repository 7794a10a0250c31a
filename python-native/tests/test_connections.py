"""A channel opens more connections when the server allows fewer streams than there are calls."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native.aio
from conftest import WITHIN, listening, native_channel, server_sockets

LIMIT = 2
CALLS = 10


class Gate:
    """Handlers that wait until the test opens the gate."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def block(self, request: bytes, _: Any) -> bytes:
        self.arrived.release()
        assert self.open.wait(WITHIN)
        return request

    def wait_for(self, count: int) -> None:
        for number in range(count):
            assert self.arrived.acquire(timeout=WITHIN), f"{number} of {count} calls are in progress"


@pytest.fixture
def gate(path: Path) -> Iterator[Gate]:
    """Runs a server of grpcio that allows 2 streams on each connection."""
    gate = Gate()
    server = grpc.server(futures.ThreadPoolExecutor(30), options=[("grpc.max_concurrent_streams", LIMIT)])
    handlers: dict[str, Any] = {
        "Block": grpc.unary_unary_rpc_method_handler(gate.block),
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
    }
    server.add_registered_method_handlers("test.Test", handlers)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield gate
    finally:
        gate.open.set()
        assert server.stop(None).wait(WITHIN)


def until_connections(path: Path, count: int) -> None:
    deadline = time.monotonic() + WITHIN
    while (found := len(server_sockets(path))) != count:
        assert time.monotonic() < deadline, f"{found} connections instead of {count}"
        threading.Event().wait(0.01)


def test_calls_that_block_are_all_in_progress(path: Path, gate: Gate) -> None:
    with native_channel(path) as channel, futures.ThreadPoolExecutor(CALLS) as callers:
        block = channel.unary_unary("/test.Test/Block")
        calls = [callers.submit(block, str(number).encode(), timeout=WITHIN) for number in range(CALLS)]
        gate.wait_for(CALLS)
        gate.open.set()
        assert [call.result() for call in calls] == [str(number).encode() for number in range(CALLS)]


def test_calls_of_an_event_loop_are_all_in_progress(path: Path, gate: Gate) -> None:
    async def call() -> None:
        async with samehost_native.aio.Channel(str(path)) as channel:
            block = channel.unary_unary("/test.Test/Block")
            calls = [block(b"x", timeout=WITHIN) for _ in range(CALLS)]
            await asyncio.to_thread(gate.wait_for, CALLS)
            gate.open.set()
            assert await asyncio.gather(*calls) == [b"x"] * CALLS

    asyncio.run(call())


def test_idle_connections_close_except_one(path: Path, gate: Gate) -> None:
    with native_channel(path) as channel:
        echo, block = channel.unary_unary("/test.Test/Echo"), channel.unary_unary("/test.Test/Block")
        assert echo(b"x", timeout=WITHIN) == b"x"
        until_connections(path, 1)
        calls = [block.future(b"x", timeout=WITHIN) for _ in range(CALLS)]
        gate.wait_for(CALLS)
        until_connections(path, CALLS // LIMIT)
        gate.open.set()
        for call in calls:
            assert call.result() == b"x"
        until_connections(path, 1)
        assert echo(b"x", timeout=WITHIN) == b"x"
    until_connections(path, 0)


def test_more_calls_than_all_connections_allow_wait_for_a_stream(path: Path, gate: Gate) -> None:
    most = 10 * LIMIT
    with native_channel(path) as channel:
        assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"
        block = channel.unary_unary("/test.Test/Block")
        calls = [block.future(b"x", timeout=WITHIN) for _ in range(most + 5)]
        gate.wait_for(most)
        assert not gate.arrived.acquire(timeout=0.2), "the server allows no further call"
        assert len(server_sockets(path)) == 10
        gate.open.set()
        for call in calls:
            assert call.result() == b"x"


def test_a_closed_channel_ends_the_calls_on_all_connections(path: Path, gate: Gate) -> None:
    with native_channel(path) as channel:
        assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"
        block = channel.unary_unary("/test.Test/Block")
        calls = [block.future(b"x", timeout=WITHIN) for _ in range(CALLS)]
        gate.wait_for(CALLS)
        channel.close()
        for call in calls:
            with contextlib.suppress(grpc.FutureCancelledError):
                assert call.exception(timeout=WITHIN).code() is grpc.StatusCode.CANCELLED
    until_connections(path, 0)


def test_a_native_server_serves_more_calls_than_one_connection_allows(path: Path) -> None:
    """A native server allows 1000 streams on each connection."""
    count = 1010

    async def call() -> None:
        arrived, opened = asyncio.Semaphore(0), asyncio.Event()

        async def block(request: bytes, _: Any) -> bytes:
            arrived.release()
            await opened.wait()
            return request

        server = samehost_native.aio.Server(max_concurrent_calls=2 * count)
        handlers: dict[str, Any] = {"Block": grpc.unary_unary_rpc_method_handler(block)}
        server.add_registered_method_handlers("test.Test", handlers)
        with listening(path) as descriptor:
            server.listen(descriptor)
        await server.start()
        async with samehost_native.aio.Channel(str(path)) as channel:
            unary: Any = channel.unary_unary("/test.Test/Block")
            first = unary(b"x", timeout=WITHIN)
            await arrived.acquire()
            calls = [first, *(unary(b"x", timeout=WITHIN) for _ in range(count - 1))]
            async with asyncio.timeout(WITHIN):
                for _ in range(count - 1):
                    await arrived.acquire()
            assert len(server_sockets(path)) == 2
            opened.set()
            assert await asyncio.gather(*calls) == [b"x"] * count
        await server.stop(None)

    asyncio.run(call())
