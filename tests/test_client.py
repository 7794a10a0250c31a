"""The channel waits, reconnects, sends localhost as its authority, and explains in one line why a call failed."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from running import NOBODY, WITHIN, Running, as_option, listening, make_stale, run, run_without_rights, serving
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import (
    CallError,
    NoSocketError,
    NotASocketError,
    NotReadyError,
    SamehostError,
    StaleSocketError,
    WrongProtocolError,
    aio,
    connect,
    diagnose,
    explain,
)
from samehost_interop.socket_suite.neighbours import relaying

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""The first frame of an HTTP/2 server. It need not send anything else."""

SHORT = 0.3
"""The seconds to wait for a server that never answers."""

MIB = 1024 * 1024


def greet(
    kind: str,
    path: Path,
    *,
    wait: float | None = None,
    timeout: float = WITHIN,
    options: Sequence[tuple[str, Any]] = (),
    **others: Any,
) -> str:
    """Makes one call on a channel of either kind."""
    request = greeter_pb2.GreetRequest(name="Ada")
    # Without its own pool, the channel could use the connection of another test of this process.
    options = [("grpc.use_local_subchannel_pool", 1), *options]

    async def greet_in_loop() -> str:
        async with aio.connect(path, wait=wait, options=options, **others) as channel:
            return (await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout)).message

    if kind == "aio":
        return asyncio.run(greet_in_loop())
    with connect(path, wait=wait, options=options, **others) as channel:
        return greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout).message


@contextlib.contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[None]:
    """Listens and answers every client with bytes. None sends nothing, and empty bytes close the connection."""
    done = threading.Event()

    def answer_all() -> None:
        held = []
        while not done.is_set():
            connection, _ = listener.accept()
            if answer is None:
                held.append(connection)
                continue
            with contextlib.suppress(OSError):
                if answer:
                    connection.recv(1024)  # closing a socket with unread data would drop the answer
                connection.sendall(answer)
            if answer == SETTINGS:
                held.append(connection)
            else:
                connection.close()
        for connection in held:
            connection.close()

    with listening(path) as listener, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(answer_all)
        yield
        done.set()
        with socket.socket(socket.AF_UNIX) as last_caller:
            last_caller.connect(str(path))
        serving.result(WITHIN)


@pytest.mark.parametrize(
    ("prepare", "error", "fragment"),
    [
        (lambda _: None, NoSocketError, "no socket exists"),
        (lambda path: path.parent.rmdir(), NoSocketError, "the folder"),
        (make_stale, StaleSocketError, ""),
        (Path.touch, NotASocketError, ""),
        (Path.mkdir, NotASocketError, ""),
    ],
    ids=["absent", "no-folder", "stale", "file", "folder"],
)
def test_an_error_of_wait_explains_the_cause(
    kind: str, folder: Path, prepare: Callable[[Path], None], error: type[SamehostError], fragment: str
) -> None:
    path = folder / "sub" / "app.sock"
    path.parent.mkdir()
    prepare(path)
    with pytest.raises(error) as caught:
        greet(kind, path, wait=SHORT)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None or error is NotASocketError


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "b'HTTP/1.1 '"),
        (None, "within 1 s"),
        (b"", "closed"),
    ],
    ids=["http1", "silent", "closes"],
)
def test_an_error_names_the_fault_of_the_protocol(kind: str, path: Path, answer: bytes | None, fragment: str) -> None:
    with answering(path, answer), pytest.raises(WrongProtocolError) as caught:
        greet(kind, path, wait=SHORT)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)


def test_an_error_of_permissions_names_the_owner_of_the_socket_and_of_the_process(kind: str, path: Path) -> None:
    path.parent.chmod(0o755)
    with Running(kind, path, mode=0o600):
        if os.geteuid() != 0:
            path.chmod(0)
        done = run_without_rights("samehost_demo", "greet", "--socket", path, "--timeout", "60", *as_option(kind))
        found = path.stat()
    who = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("samehost-demo: ")
    assert str(path) in done.stderr
    assert f"belongs to uid {found.st_uid} and gid {found.st_gid} with mode {found.st_mode & 0o777:04o}" in done.stderr
    assert f"this process is uid {who} with gids" in done.stderr
    assert done.stderr.count("\n") == 1


def test_wait_waits_for_a_server_that_starts_later(kind: str, path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        greeting = pool.submit(greet, kind, path, wait=WITHIN)
        with serving(kind, path):
            assert greeting.result(WITHIN) == "Hello, Ada!"


def test_without_wait_a_channel_returns_at_once(kind: str, path: Path) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        greet(kind, path)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert isinstance(explain(caught.value, path), NoSocketError)


def test_a_killed_server_is_unavailable_and_its_successor_is_found(kind: str, path: Path) -> None:
    with connect(path) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        request = greeter_pb2.GreetRequest(name="Ada")
        with serving(kind, path) as server:
            stub.Greet(request, timeout=WITHIN, wait_for_ready=True)
            server.end(signal.SIGKILL)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Greet(request, timeout=WITHIN)
            assert isinstance(explain(caught.value, path), StaleSocketError)
        with serving(kind, path):
            assert stub.Greet(request, timeout=WITHIN, wait_for_ready=True).message == "Hello, Ada!"


def test_a_failed_call_is_explained(kind: str, path: Path) -> None:
    # On a connection that reaches its age limit, a call whose deadline ends may fail with UNAVAILABLE instead.
    with Running(kind, path, max_connection_age=60, grace=0) as running, connect(path, wait=WITHIN) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Greet(greeter_pb2.GreetRequest())
        reason = explain(caught.value, path)
        assert isinstance(reason, CallError)
        assert str(reason) == f"unix:{path} answered INVALID_ARGUMENT: name has 0 characters; give 1 to 256"

        request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
        request.interval.FromSeconds(60)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.GreetInLanguages(request, timeout=SHORT))
        assert str(explain(caught.value, path)).startswith(f"unix:{path} did not answer before the deadline")
        running.stop(at_once=True)


def test_aio_explain_does_not_block_the_event_loop(path: Path) -> None:
    async def count_while_explaining() -> int:
        with pytest.raises(grpc.RpcError) as caught:
            async with aio.connect(path) as channel:
                await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(greeter_pb2.GreetRequest(), timeout=SHORT)
        explaining = asyncio.create_task(aio.explain(caught.value, path))
        turns = 0
        while not explaining.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert isinstance(explaining.result(), WrongProtocolError)
        return turns

    with answering(path, None):
        assert asyncio.run(count_while_explaining()) > 10, "it waits a second for an answer"


def test_using_a_channel_that_was_not_awaited_raises_an_error_with_the_remedy(path: Path) -> None:
    connecting: Any = aio.connect(path)
    with pytest.raises(AttributeError, match=r"write `channel = await aio.connect\(...\)` or `async with"):
        greeter_pb2_grpc.GreeterServiceStub(connecting)
    connecting.close()


def test_an_asyncio_channel_can_be_entered_or_awaited_or_opened_in_a_task(path: Path) -> None:
    async def connect_in_every_way() -> None:
        async with aio.connect(path, wait=WITHIN) as entered:
            assert isinstance(entered, grpc.aio.Channel)
        async with await aio.connect(path) as awaited:
            assert isinstance(awaited, grpc.aio.Channel)
        async with await asyncio.create_task(aio.connect(path)) as made:
            assert isinstance(made, grpc.aio.Channel)
        with pytest.raises(NoSocketError):
            async with aio.connect(path.with_name("other.sock"), wait=0):
                pytest.fail("connected without a server")

    with Running("aio", path):
        asyncio.run(connect_in_every_way())


@pytest.mark.parametrize("limit", [0, 30, 60, 150, 300, 400, 500, 600, 700, 800, 900, 1000])
def test_a_greeting_on_a_connection_that_breaks_fails_with_a_status(kind: str, path: Path, limit: int) -> None:
    behind = path.with_name("behind.sock")
    with serving("sync", behind), relaying(path, behind, limits=[limit] * 5):
        finished = run("samehost_demo", "greet", "--socket", path, "--name", "Ada", *as_option(kind))
    assert finished.returncode in (0, 1)
    assert finished.stderr.count("\n") == finished.returncode, f"expected one line at most, got {finished.stderr}"


def test_diagnose_returns_none_for_a_server_that_answers(kind: str, path: Path) -> None:
    with Running(kind, path):
        assert diagnose(path) is None


def test_a_server_that_does_not_answer_a_call_in_time_is_not_ready(kind: str, path: Path) -> None:
    with answering(path, SETTINGS), pytest.raises(NotReadyError, match=str(path)):
        greet(kind, path, wait=SHORT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "localhost"), ([("grpc.default_authority", "shop.example")], "shop.example")],
    ids=["default", "option"],
)
def test_the_authority_is_localhost_unless_an_option_sets_it(
    kind: str, path: Path, options: Sequence[tuple[str, Any]], expected: str
) -> None:
    """Kestrel and Rust's h2 refuse the percent-encoded path that C-core sends by default."""
    with listening(path) as listener, ThreadPoolExecutor(1) as pool:
        headers = pool.submit(read_headers, listener)
        with contextlib.suppress(grpc.RpcError):
            greet(kind, path, timeout=WITHIN, options=options)
        assert headers.result(WITHIN)[":authority"] == expected


def test_messages_are_compressed_as_the_option_says(kind: str, path: Path) -> None:
    with listening(path) as listener, ThreadPoolExecutor(1) as pool:
        headers = pool.submit(read_headers, listener)
        with contextlib.suppress(grpc.RpcError):
            greet(kind, path, timeout=WITHIN, compression=grpc.Compression.Gzip)
        assert headers.result(WITHIN)["grpc-encoding"] == "gzip"


@contextlib.contextmanager
def accepting(listener: socket.socket) -> Iterator[tuple[socket.socket, h2.connection.H2Connection]]:
    """Accepts one connection and yields it with its HTTP/2 state. Closes it at the end."""
    connection, _ = listener.accept()
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http2.initiate_connection()
    with connection:
        connection.settimeout(WITHIN)
        yield connection, http2


def read_headers(listener: socket.socket) -> dict[str, str]:
    """Reads the headers of the first request of one connection, and closes it."""
    with accepting(listener) as (connection, http2):
        while True:
            connection.sendall(http2.data_to_send())
            for event in http2.receive_data(connection.recv(65536)):
                if isinstance(event, h2.events.RequestReceived):
                    return {str(name, "ascii"): str(value, "ascii") for name, value in event.headers}


def test_a_client_writes_nothing_after_its_last_request(kind: str, path: Path) -> None:
    """A server may close the connection after its answer. C-core then loses unread data if it writes."""
    with listening(path) as listener, ThreadPoolExecutor(1) as pool:
        windows = pool.submit(answer_and_read_windows, listener, MIB)
        assert len(greet(kind, path)) == MIB
        assert windows.result(WITHIN) == []


def answer_and_read_windows(listener: socket.socket, size: int) -> list[h2.events.WindowUpdated]:
    """Answers the first request of one connection with `size` characters, and returns the window updates after it."""
    message = greeter_pb2.GreetResponse(message="x" * size).SerializeToString()
    body = b"\0" + len(message).to_bytes(4) + message
    updates: list[h2.events.WindowUpdated] = []
    stream, greeted, answered = 0, False, False
    with accepting(listener) as (connection, http2):
        connection.sendall(http2.data_to_send())
        while arrived := connection.recv(65536):
            for event in http2.receive_data(arrived):
                if answered and isinstance(event, h2.events.WindowUpdated):
                    updates.append(event)
                if isinstance(event, h2.events.SettingsAcknowledged):
                    greeted = True
                if isinstance(event, h2.events.StreamEnded):
                    stream = event.stream_id
            if stream and greeted and not answered:  # everything else that the client writes has arrived
                http2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
                for start in range(0, len(body), http2.max_outbound_frame_size):
                    http2.send_data(stream, body[start : start + http2.max_outbound_frame_size])
                http2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
                answered = True
            connection.sendall(http2.data_to_send())
    return updates
