"""The life cycle of a server: it starts once and stops once, however often and from wherever that is requested."""

import asyncio
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from running import WITHIN, Running, eventually, fresh_channel, python, serving, slow_greetings, slow_predecessor
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client.health import check
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_server import SocketAddress, SocketInUseError, StateError, aio


def greet(path: Path) -> str:
    with fresh_channel(path) as channel:
        request = greeter_pb2.GreetRequest(name="Ada")
        return str(greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=WITHIN).message)


def health(path: Path) -> str:
    return check(SocketAddress(path), timeout=WITHIN)


def test_a_second_start_is_refused_and_does_not_affect_the_server(kind: str, path: Path) -> None:
    with Running(kind, path) as running:
        with pytest.raises(StateError, match=rf"{path}: it is serving"):
            running.call(running.server.start)
        assert greet(path) == "Hello, Ada!"
        assert health(path) == "SERVING"
    assert not path.exists()


def test_a_stopped_server_does_not_start_again_and_another_one_does(kind: str, path: Path) -> None:
    with Running(kind, path) as running:
        running.stop()
        with pytest.raises(StateError, match="it is stopped"):
            running.call(running.server.start)
    with Running(kind, path):
        assert health(path) == "SERVING"


def test_a_failed_server_can_neither_start_again_nor_be_waited_for(kind: str, path: Path) -> None:
    with Running(kind, path), Running(kind, path.with_name("idle.sock")) as loop:
        failed = loop.make(path)
        with pytest.raises(SocketInUseError):
            loop.call(failed.start)
        with pytest.raises(StateError, match="it is failed"):
            loop.call(failed.start)
        with pytest.raises(StateError, match="it is failed"):
            loop.call(failed.wait)
        loop.call(failed.stop)
        assert health(path) == "SERVING"


def test_waiting_for_a_server_that_never_started_fails(kind: str, path: Path) -> None:
    with Running(kind, path) as loop, pytest.raises(StateError, match="it is new"):
        loop.call(loop.make(path.with_name("other.sock")).wait)


def test_a_stop_during_the_start_wins(kind: str, path: Path) -> None:
    with Running(kind, path.with_name("idle.sock")) as loop, ThreadPoolExecutor(2) as pool:
        server = loop.make(path, takeover=True)
        with slow_predecessor(path) as predecessor:
            starting = pool.submit(loop.call, server.start)
            predecessor.wait_for_successor()
            server.request_stop()
            stopping = pool.submit(loop.call, server.stop)
            predecessor.hand_over()
            starting.result(WITHIN)
            stopping.result(WITHIN)
        loop.call(server.wait)
        assert not path.exists()
        with Running(kind, path):
            assert health(path) == "SERVING"


def test_a_slow_predecessor_does_not_block_the_event_loop(path: Path) -> None:
    async def count_while_starting() -> int:
        server = aio.Server(path, [AsyncGreeterService()], takeover=True)
        starting = asyncio.create_task(server.start())
        await asyncio.to_thread(predecessor.wait_for_successor)
        for turn in range(10):
            await asyncio.sleep(0)
            assert not starting.done(), turn
        starting.cancel()
        predecessor.hand_over()
        with pytest.raises(asyncio.CancelledError):
            await starting
        return 10

    with slow_predecessor(path) as predecessor:
        assert asyncio.run(count_while_starting()) == 10
    assert not path.exists()


def test_several_threads_may_wait_and_stop_at_the_same_time(kind: str, path: Path) -> None:
    with Running(kind, path) as running, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(running.call, running.server.wait) for _ in range(4)]
        stopping = [pool.submit(running.stop) for _ in range(4)]
        for each in (*waiting, *stopping):
            each.result(WITHIN)
        assert not path.exists()


def test_a_cancelled_stop_continues_and_can_be_waited_for_again(path: Path) -> None:
    async def stop_twice() -> None:
        async with aio.Server(path, [AsyncGreeterService()], grace=WITHIN) as server:
            with fresh_channel(path) as channel:
                stream = slow_greetings(channel)
                await asyncio.to_thread(next, stream)
                stopping = asyncio.create_task(server.stop())
                await asyncio.to_thread(eventually, lambda: not path.exists(), f"{path} to be removed")
                stopping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await stopping
                await server.stop()
                assert len(await asyncio.to_thread(list, stream)) == 4, "the calls in progress finish"

    asyncio.run(asyncio.wait_for(stop_twice(), WITHIN))


INTERRUPTED = """
import sys
from samehost_server import Server
from samehost_demo.services import GreeterService
server = Server(sys.argv[1], [GreeterService()], grace=20)
server.start()
print("ready", flush=True)
sys.stdin.readline()
try:
    server.stop()
except KeyboardInterrupt:
    print("interrupted", flush=True)
server.stop()
print("stopped", flush=True)
"""


def test_an_interrupted_stop_continues_and_can_be_waited_for_again(path: Path) -> None:
    with python("-c", INTERRUPTED, path, stdin=subprocess.PIPE) as program, fresh_channel(path) as channel:
        assert program.line() == "ready\n"
        stream = slow_greetings(channel)
        next(stream)
        assert program.process.stdin is not None
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        eventually(lambda: not path.exists(), f"{path} to be removed")
        program.process.send_signal(signal.SIGINT)
        assert program.line() == "interrupted\n"
        assert len(list(stream)) == 4
        assert program.line() == "stopped\n"
        assert program.process.wait(WITHIN) == 0


class Stopping(GreeterService):
    """Stops its own server in a handler, like an RPC for administrators."""

    server: Any

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def Greet(self, request: greeter_pb2.GreetRequest, context: grpc.ServicerContext) -> greeter_pb2.GreetResponse:
        getattr(self.server, self._method)()
        return super().Greet(request, context)


class AsyncStopping(AsyncGreeterService):
    """Does what Stopping does with asyncio."""

    server: Any

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    async def Greet(self, request: Any, context: Any) -> greeter_pb2.GreetResponse:
        stopping = getattr(self.server, self._method)()
        if stopping is not None:
            await stopping
        return await super().Greet(request, context)


def test_a_handler_of_a_stream_may_stop_its_server_in_its_first_step(path: Path) -> None:
    for _ in range(10):
        service = StoppingStream()
        with Running("sync", path, [service], grace=WITHIN) as running, fresh_channel(path) as channel:
            service.server = running.server
            requests = iter([greeter_pb2.ConverseRequest(text="Ada here.")])
            answers = greeter_pb2_grpc.GreeterServiceStub(channel).Converse(requests, timeout=WITHIN)
            assert [answer.text for answer in answers] == ["stopping"]


class StoppingStream(GreeterService):
    """Stops its own server before it reads a request."""

    server: Any

    def Converse(self, _requests: Any, _context: Any) -> Iterator[greeter_pb2.ConverseResponse]:
        self.server.stop()
        yield greeter_pb2.ConverseResponse(text="stopping")


def test_a_handler_may_wait_for_a_stop_in_any_way(path: Path) -> None:
    class Waiting(AsyncStopping):
        async def Greet(self, request: Any, context: Any) -> greeter_pb2.GreetResponse:
            await asyncio.wait_for(self.server.stop(), WITHIN)
            await asyncio.create_task(self.server.stop())
            return await AsyncGreeterService.Greet(self, request, context)

    service = Waiting("stop")
    with Running("aio", path, [service], grace=WITHIN) as running:
        service.server = running.server
        assert greet(path) == "Hello, Ada!"


@pytest.mark.parametrize("method", ["stop", "request_stop"])
def test_a_handler_may_stop_its_server_and_its_caller_gets_the_answer(kind: str, path: Path, method: str) -> None:
    service = Stopping(method) if kind == "sync" else AsyncStopping(method)
    with Running(kind, path, [service]) as running, ThreadPoolExecutor(1) as pool:
        service.server = running.server
        waiting = pool.submit(running.call, running.server.wait)
        assert greet(path) == "Hello, Ada!"
        waiting.result(WITHIN)
        assert not path.exists()


def test_a_server_without_wait_stops_when_it_is_taken_over(kind: str, path: Path) -> None:
    with Running(kind, path, grace=0.1), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        connection.connect(str(path))
        with serving(kind, path, "--takeover"):
            while connection.recv(4096):  # until the old server has closed it
                pass
            assert health(path) == "SERVING"


NEVER_STOPPED = {
    "sync": """
import sys
from samehost_server import Server
from samehost_demo.services import GreeterService
server = Server(sys.argv[1], [GreeterService()])
server.start()
print("ready", flush=True)
sys.stdin.readline()
""",
    "aio": """
import asyncio, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    server = aio.Server(sys.argv[1], [AsyncGreeterService()])
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
asyncio.run(main())
""",
}


CANCELLED_CALL = re.compile(
    r"Traceback \(most recent call last\):\n"
    r'  File "src/python/grpcio/grpc/_cython/_cygrpc/aio/server\.pyx\.pxi", line \d+, in grpc\._cython\.cygrpc\.'
    r"_schedule_rpc_coro\n"
    r"asyncio\.exceptions\.CancelledError\n"
)
"""grpcio prints this if asyncio.run, at its end, cancels the task of a call: see docs/background/limits.md."""


@pytest.mark.parametrize("watched", [False, True])
def test_a_program_that_exits_without_a_stop_leaves_no_path(kind: str, path: Path, watched: bool) -> None:
    with python("-c", NEVER_STOPPED[kind], path, stdin=subprocess.PIPE) as program, fresh_channel(path) as channel:
        assert program.line() == "ready\n"
        if watched:
            stub = health_pb2_grpc.HealthStub(channel)
            next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=WITHIN))  # type: ignore[attr-defined]
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert program.process.wait(WITHIN) == 0
        assert not path.exists()
        assert not path.with_name("app.sock.takeover").exists()
        assert program.process.stderr is not None
        assert CANCELLED_CALL.sub("", program.process.stderr.read()) == ""


FORGOTTEN = """
import asyncio, gc, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    server = aio.Server(sys.argv[1], [AsyncGreeterService()])
    await server.start()
    return server
server = asyncio.run(main())
del server
gc.collect()
asyncio.run(main())
print("served again", flush=True)
"""


def test_a_server_can_be_dropped_after_its_loop_has_ended(path: Path) -> None:
    with python("-c", FORGOTTEN, path) as program:
        assert program.line() == "served again\n"
        assert program.process.wait(WITHIN) == 0
        assert program.process.stderr is not None
        assert program.process.stderr.read() == ""


def test_a_server_of_another_event_loop_is_refused(path: Path) -> None:
    async def use(server: aio.Server, method: str) -> None:
        with pytest.raises(StateError, match="another event loop"):
            await getattr(server, method)()

    with Running("aio", path) as running:
        for method in ("stop", "wait"):
            asyncio.run(use(running.server, method))
        running.server.request_stop()
        eventually(lambda: not path.exists(), f"{path} to be removed")


def test_starts_and_stops_leave_no_descriptor_thread_or_file(kind: str, path: Path, engine: str) -> None:
    def open_descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    def threads_of_servers() -> set[threading.Thread]:
        # grpc.aio has one thread for the process, and ends it when it likes.
        return {thread for thread in threading.enumerate() if "_poll_wrapper" not in thread.name}

    def start_and_stop(times: int) -> None:
        with Running(kind, path.with_name("idle.sock")) as loop:
            for _ in range(times):
                server = loop.make(path, engine=engine)
                loop.call(server.start)
                loop.call(server.stop)

    threads = threads_of_servers()
    start_and_stop(1)  # grpc keeps some descriptors for later
    eventually(lambda: threads_of_servers() <= threads, "the threads of the first server to end")
    descriptors = open_descriptors()
    begun = time.monotonic()
    start_and_stop(50)
    assert time.monotonic() - begun < 50, "it takes under 2 s"
    eventually(lambda: threads_of_servers() <= threads, "the threads of all to end")
    eventually(lambda: open_descriptors() <= descriptors, f"all but {descriptors} descriptors to be closed")
    assert sorted(each.name for each in path.parent.iterdir()) == ["app.sock.lock", "idle.sock.lock"]
