"""Stopping: calls in progress finish, new calls are refused or wait, and the stop takes a bounded time."""

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
def test_a_signal_lets_a_stream_finish_and_exits_with_0(kind: str, path: Path, number: signal.Signals) -> None:
    with serving(kind, path) as server, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel)
        next(stream)
        server.process.send_signal(number)
        eventually(lambda: not path.exists(), f"{path} to be removed")
        assert isinstance(diagnose(path), NoSocketError), "the path is removed first, so that no new client connects"
        assert len(list(stream)) == 4
        assert server.process.wait(WITHIN) == 0


def test_health_is_not_serving_before_the_server_stops(kind: str, path: Path) -> None:
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


def test_a_call_that_is_longer_than_the_grace_is_cut_off(kind: str, path: Path) -> None:
    with Running(kind, path, grace=0.1) as running, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel, 10_000)
        next(stream)
        running.stop()
        with pytest.raises(grpc.RpcError):
            next(stream)


def test_a_second_stop_has_no_effect(kind: str, path: Path) -> None:
    with Running(kind, path) as running:
        running.stop()
        running.stop(at_once=True)
    with Running(kind, path):
        pass


def test_a_stop_in_another_thread_ends_wait(path: Path) -> None:
    with Running("sync", path) as running, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.server.wait)
        running.stop()
        waiting.result(WITHIN)


def test_a_server_without_clients_stops_at_once_with_any_age(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=60) as running:
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 1, "it takes 12 ms; waiting for clients to be moved would take up to 78 s"


def test_a_server_whose_clients_have_disconnected_stops_at_once(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=60) as running:
        with fresh_channel(path) as channel:
            greet(channel)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 1


def test_a_connected_client_is_served_until_its_connection_is_renewed(kind: str, path: Path) -> None:
    with Running(kind, path, max_connection_age=0.5) as running, fresh_channel(path) as channel:
        greet(channel)
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(running.stop)
            eventually(lambda: not path.exists(), f"{path} to be removed")
            greet(channel)
            begun = time.monotonic()
            stopping.result(WITHIN)
        assert time.monotonic() - begun > 0.1, "a connection lives at least 0.45 s, because C-core varies ages by 10 %"


def test_a_stop_waits_for_a_client_at_most_for_the_age_of_the_options(kind: str, path: Path) -> None:
    options = [("grpc.max_connection_age_ms", 100)]
    # grpc waits for the handshake of a client like for a call, at most for the grace.
    with Running(kind, path, grace=0.1, max_connection_age=60, options=options) as running:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(path))
            begun = time.monotonic()
            running.stop()
        assert time.monotonic() - begun < 2, "it takes 0.25 s; with the age that the option replaces it would take 78 s"


def test_a_stop_waits_for_a_client_as_long_as_the_age_of_the_options(kind: str, path: Path) -> None:
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


def test_restarts_lose_no_call_that_waits(kind: str, path: Path) -> None:
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
                threading.Event().wait(0.5)  # long enough for some calls
                assert server.end() == 0
        with serving(kind, path) as server:
            enough.set()
            calls = sum(caller.result(WITHIN) for caller in callers)
            assert server.end() == 0
    assert calls > 100


def test_a_server_has_a_small_window(kind: str, path: Path) -> None:
    """When a connection is renewed, the server refuses the calls that the client still has in its queue."""
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


def test_renewed_connections_fail_no_call(kind: str, path: Path) -> None:
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
def test_a_handler_that_never_returns_does_not_keep_the_program_alive(
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
