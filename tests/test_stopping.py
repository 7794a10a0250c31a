"""Stopping: what is in progress ends well, what is new is refused or waits, and nothing takes forever."""

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from running import WITHIN, Running, eventually, fresh_channel, serving, slow_greetings
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import NoSocketError, connect, diagnose


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_stream_in_progress_end_and_exits_with_0(kind: str, path: Path, number: signal.Signals) -> None:
    with serving(kind, path) as server, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel)
        next(stream)
        server.process.send_signal(number)
        eventually(lambda: not path.exists(), f"{path} to be removed")
        assert isinstance(diagnose(path), NoSocketError), "the path goes first: nobody new comes in"
        assert len(list(stream)) == 4
        assert server.process.wait(WITHIN) == 0


def test_health_says_not_serving_before_the_server_goes(kind: str, path: Path) -> None:
    with serving(kind, path) as server, connect(path, wait=WITHIN) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest(service="samehost.greeter.v1.GreeterService"), timeout=WITHIN
        )
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.terminate()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert server.process.wait(WITHIN) == 0


def test_a_second_signal_stops_at_once(kind: str, path: Path) -> None:
    with serving(kind, path, "--grace", "1000") as server, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel, 10_000)
        next(stream)
        server.process.terminate()
        eventually(lambda: not path.exists(), f"{path} to be removed")
        assert server.end() == 0
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_a_call_that_outlasts_the_grace_is_cut(kind: str, path: Path) -> None:
    with Running(kind, path, grace=0.1) as running, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel, 10_000)
        next(stream)
        running.stop()
        with pytest.raises(grpc.RpcError):
            next(stream)


def test_stopping_twice_or_before_the_start_is_harmless(kind: str, path: Path) -> None:
    with Running(kind, path) as running:
        running.stop()
        running.stop(at_once=True)
    with Running(kind, path):
        pass


def test_stop_from_elsewhere_ends_wait(path: Path) -> None:
    with Running("sync", path) as running, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.server.wait)
        running.stop()
        waiting.result(WITHIN)


def test_a_server_without_clients_stops_at_once_whatever_the_age(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=60) as running:
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 1, "it takes 12 ms, and up to 78 s where it waits for clients to be moved"


def test_a_server_whose_clients_have_gone_stops_at_once(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=60) as running:
        with fresh_channel(path) as channel:
            greet(channel)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 1


def test_a_client_that_is_connected_is_served_until_its_connection_is_renewed(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=0.5) as running, fresh_channel(path) as channel:
        greet(channel)
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(running.stop)
            eventually(lambda: not path.exists(), f"{path} to be removed")
            greet(channel)
            begun = time.monotonic()
            stopping.result(WITHIN)
        assert time.monotonic() - begun > 0.1, "a connection lives for 0.45 s at least, as C-core spreads ages by 10 %"


def test_a_client_that_never_leaves_is_waited_for_no_longer_than_the_age_in_force(kind: str, path: Path) -> None:
    options = [("grpc.max_connection_age_ms", 100)]
    # grpc waits for its handshake as for a call, so for the grace.
    with Running(kind, path, grace=0.1, max_connection_age=60, options=options) as running:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(path))
            begun = time.monotonic()
            running.stop()
        assert time.monotonic() - begun < 2, "it takes 0.25 s, and 78 s by the age that the option replaces"


def test_a_client_is_waited_for_by_the_age_in_the_options(kind: str, path: Path) -> None:
    options = [("grpc.max_connection_age_ms", 60_000)]
    with Running(kind, path, options=options) as running, ThreadPoolExecutor(1) as pool:
        with fresh_channel(path) as channel:
            greet(channel)
            stopping = pool.submit(running.stop)
            with pytest.raises(TimeoutError):
                stopping.result(1)
        stopping.result(WITHIN)


def greet(channel: grpc.Channel) -> None:
    greeter_pb2_grpc.GreeterServiceStub(channel).Greet(greeter_pb2.GreetRequest(name="Ada"), timeout=WITHIN)


def test_calls_that_may_wait_lose_nothing_while_the_server_is_restarted(kind: str, path: Path) -> None:
    enough = threading.Event()

    def call_again_and_again() -> int:
        calls = 0
        with fresh_channel(path) as channel:
            stub = greeter_pb2_grpc.GreeterServiceStub(channel)
            request = greeter_pb2.GreetRequest(name="Ada")
            while not enough.is_set():
                stub.Greet(request, timeout=WITHIN, wait_for_ready=True)
                calls += 1
        return calls

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call_again_and_again) for _ in range(4)]
        for _ in range(3):
            with serving(kind, path) as server:
                threading.Event().wait(0.5)  # a life long enough to be called in
                assert server.end() == 0
        with serving(kind, path) as server:
            enough.set()
            calls = sum(caller.result(WITHIN) for caller in callers)
            assert server.end() == 0
    assert calls > 100


def test_a_client_sends_little_of_a_request_before_it_is_read(kind: str, path: Path) -> None:
    """What it has queued when its connection is renewed is refused, and so are calls whose headers wait behind it."""
    with Running(kind, path), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        connection.connect(str(path))
        http2 = h2.connection.H2Connection()
        http2.initiate_connection()
        connection.sendall(http2.data_to_send())
        while not any(isinstance(event, h2.events.RemoteSettingsChanged) for event in read_events(connection, http2)):
            pass
        assert http2.remote_settings.initial_window_size == 128 * 1024


def read_events(connection: socket.socket, http2: h2.connection.H2Connection) -> list[h2.events.Event]:
    data = connection.recv(65536)
    assert data, "the server closed the connection"
    return http2.receive_data(data)


def test_connections_are_moved_by_age_without_a_failed_call(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=0.1), connect(path, wait=WITHIN) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            stub.Greet(greeter_pb2.GreetRequest(name="Ada"), timeout=WITHIN)


BLOCKED = {
    "sync": """
import pathlib, queue
from samehost_demo.services import GreeterService
class Waits(GreeterService):
    def Greet(self, request, context):
        pathlib.Path("called").touch()
        queue.Queue().get()
""",
    "thread": """
import asyncio, pathlib, threading
from samehost_demo.services import AsyncGreeterService
class Waits(AsyncGreeterService):
    async def Greet(self, request, context):
        pathlib.Path("called").touch()
        await asyncio.to_thread(threading.Event().wait)
""",
    "stubborn": """
import asyncio, pathlib
from samehost_demo.services import AsyncGreeterService
class Waits(AsyncGreeterService):
    async def Greet(self, request, context):
        pathlib.Path("called").touch()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
""",
}


@pytest.mark.parametrize("handler", list(BLOCKED))
@pytest.mark.parametrize("signals", [1, 2])
def test_a_handler_that_never_ends_does_not_keep_the_program(
    handler: str, signals: int, folder: Path, path: Path
) -> None:
    (folder / "blocked.py").write_text(f"{BLOCKED[handler]}\nwaits = Waits()\n")
    kind = "sync" if handler == "sync" else "aio"
    grace = {1: "0.1", 2: "1000"}[signals]
    with (
        serving(kind, path, "--services", "blocked:waits", "--grace", grace, cwd=folder) as server,
        fresh_channel(path) as channel,
    ):
        request = greeter_pb2.GreetRequest(name="Ada")
        call = greeter_pb2_grpc.GreeterServiceStub(channel).Greet.future(request, timeout=WITHIN)
        eventually((folder / "called").exists, "the call to be in progress")
        for _ in range(signals):
            server.process.terminate()
            eventually(lambda: not path.exists(), f"{path} to be removed")
        assert server.process.wait(WITHIN) == 0
        assert call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
