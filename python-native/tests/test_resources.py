"""Descriptors, threads and memory of servers and channels after much work."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native
import samehost_native.aio
from conftest import WITHIN, native_channel, server_sockets, serving, serving_async

CONNECTIONS = 300
"""Connections that are opened and closed one after another."""

AT_ONCE = 100
"""Connections that are open at the same time."""

STARTS = 10

CALLS = 2000
"""Calls in each half of the test, which compares the memory of both."""

MESSAGE = bytes(64 * 1024)
MESSAGES = 1024
"""Messages of a stream: 64 MiB."""

MOST_GROWTH_MIB = 24.0
"""The windows of HTTP/2, the buffers of the sockets and the allocator take a few MiB."""


def echo(request: bytes, _: Any) -> bytes:
    return request


async def echo_async(request: bytes, _: Any) -> bytes:
    return request


ECHO: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
ASYNC_ECHO: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo_async)}


@pytest.fixture(params=["sync", "aio"])
def served(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    with serving(path, ECHO) if request.param == "sync" else serving_async(path, ASYNC_ECHO) as server:
        yield server


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> list[str]:
    """Returns the names of the threads, of Python and of the engine. The keeper of idle channels stays."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            found.append((task / "comm").read_text().strip())
    return sorted(name for name in found if name != "samehost-keeper")


def memory_mib(what: str = "VmRSS") -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + WITHIN
    pace = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what()
        pace.wait(0.01)


def call(channel: Any) -> None:
    assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"


@pytest.mark.usefixtures("served")
def test_connections_leave_nothing(path: Path) -> None:
    def many() -> tuple[int, float]:
        many_at_once(path)
        for _ in range(CONNECTIONS):
            with native_channel(path) as channel:
                call(channel)
        until(lambda: server_sockets(path) == set(), lambda: server_sockets(path))
        return descriptors(), memory_mib()

    many()
    before, memory = many()
    after, memory_after = many()
    assert after <= before
    assert memory_after < memory + MOST_GROWTH_MIB


@pytest.mark.usefixtures("served")
def test_an_idle_worker_keeps_no_connection(path: Path) -> None:
    with native_channel(path) as channel:
        call(channel)
    begun = time.monotonic()
    until(lambda: server_sockets(path) == set(), lambda: server_sockets(path))
    assert time.monotonic() - begun < 2, "a worker looks for a stop after 5 s"


def many_at_once(path: Path) -> None:
    with contextlib.ExitStack() as channels:
        for channel in [channels.enter_context(native_channel(path)) for _ in range(AT_ONCE)]:
            call(channel)
        assert len(server_sockets(path)) == AT_ONCE


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_servers_and_channels_leave_no_descriptor_and_no_thread(tmp_path: Path, kind: str) -> None:
    def one(path: Path) -> None:
        with serving(path, ECHO) if kind == "sync" else serving_async(path, ASYNC_ECHO):
            if kind == "sync":
                with native_channel(path) as channel:
                    call(channel)
            else:
                asyncio.run(call_async(path))
        path.unlink()

    one(tmp_path / "s")  # starts the keeper
    before, running = descriptors(), threads()
    for _ in range(STARTS):
        one(tmp_path / "s")
    until(lambda: descriptors() <= before, lambda: f"{descriptors()} descriptors, {before} before")
    until(lambda: len(threads()) <= len(running), lambda: f"{threads()}, before {running}")


async def call_async(path: Path) -> None:
    async with samehost_native.aio.Channel(str(path)) as channel:
        assert await channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"


def test_calls_of_one_caller_run_in_the_thread_that_reads_them(path: Path) -> None:
    def thread(*_: Any) -> bytes:
        return str(threading.get_ident()).encode()

    def slow(*_: Any) -> bytes:
        threading.Event().wait(0.02)  # meanwhile, the guard makes another thread lead
        return b""

    methods = {"Thread": thread, "Slow": slow}
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    with serving(path, handlers), native_channel(path) as channel:
        channel.unary_unary("/test.Test/Slow")(b"", timeout=WITHIN)
        ask = channel.unary_unary("/test.Test/Thread")
        threads = [ask(b"", timeout=WITHIN) for _ in range(CALLS)]
    switches = sum(before != after for before, after in itertools.pairwise(threads))
    # About 60 follow the slow call. If another thread reads, almost every call costs a switch.
    assert switches < CALLS / 2


@pytest.mark.usefixtures("served")
def test_calls_leave_no_memory(channel: Any) -> None:
    def many() -> None:
        echo = channel.unary_unary("/test.Test/Echo")
        for _ in range(CALLS):
            echo(MESSAGE, timeout=WITHIN)

    many()
    before = memory_mib()
    many()
    assert memory_mib() < before + MOST_GROWTH_MIB


class Paced:
    """A stream whose reader often waits until its writer can send no more."""

    def __init__(self) -> None:
        self.sent = 0
        self.read = 0

    def messages(self) -> Iterator[bytes]:
        for _ in range(MESSAGES):
            yield MESSAGE
            self.sent += 1

    def take(self) -> None:
        """Takes a message. The first of 64 waits until the writer has stopped."""
        self.read += 1
        if self.read % 64 != 1:
            return
        last = -1
        while self.sent != last:
            last = self.sent
            threading.Event().wait(0.02)


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_slow_reader_keeps_the_memory_of_a_stream_small(path: Path, kind: str) -> None:
    paced = Paced()

    def flood(*_: Any) -> Iterator[bytes]:
        yield from paced.messages()

    async def flood_async(*_: Any) -> Any:
        for message in paced.messages():
            yield message

    handler: Any = grpc.unary_stream_rpc_method_handler(flood if kind == "sync" else flood_async)
    with (serving if kind == "sync" else serving_async)(path, {"Flood": handler}), native_channel(path) as channel:
        responses = channel.unary_stream("/test.Test/Flood")(b"", timeout=WITHIN)
        assert len(next(responses)) == len(MESSAGE)
        paced.take()
        forget_peak()
        before = memory_mib()
        for _ in responses:
            paced.take()
        assert paced.read == MESSAGES
        assert memory_mib("VmHWM") < before + MOST_GROWTH_MIB


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_slow_handler_keeps_the_memory_of_a_stream_small(path: Path, kind: str, channel: Any) -> None:
    paced = Paced()

    def swallow(requests: Iterator[bytes], _: Any) -> bytes:
        for _each in requests:
            paced.take()
        return b""

    async def swallow_async(requests: Any, _: Any) -> bytes:
        async for _each in requests:
            await asyncio.to_thread(paced.take)
        return b""

    handler: Any = grpc.stream_unary_rpc_method_handler(swallow if kind == "sync" else swallow_async)
    with (serving if kind == "sync" else serving_async)(path, {"Swallow": handler}):
        forget_peak()
        before = memory_mib()
        channel.stream_unary("/test.Test/Swallow")(paced.messages(), timeout=WITHIN)
        assert paced.read == MESSAGES
        assert memory_mib("VmHWM") < before + MOST_GROWTH_MIB
