"""Tests that the byte bridge between TCP and a Unix socket loses, reorders and delays nothing."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WITHIN = 20.0


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bridge-", dir="/tmp") as folder:
        yield Path(folder) / "server.sock"


@contextlib.contextmanager
def bridging(path: Path) -> Iterator[tuple[str, int]]:
    """Run a bridge to the path, and return its address."""
    command = [sys.executable, "-m", "samehost_interop.official.bridge", "--socket", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bridge:
        assert bridge.stdout is not None
        try:
            host, _, port = json.loads(bridge.stdout.readline())["address"].rpartition(":")
            yield host, int(port)
            bridge.terminate()
            assert bridge.wait(WITHIN) == 0
        finally:
            bridge.kill()


@contextlib.contextmanager
def server(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve one connection on the path in a thread."""

    def accept() -> None:
        with listener.accept()[0] as connection:
            connection.settimeout(WITHIN)
            serve(connection)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WITHIN)
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        yield
        thread.join(WITHIN)
        assert not thread.is_alive()


def read_to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_data_arrives_and_a_half_close_is_forwarded(path: Path) -> None:
    sent = os.urandom(3 << 20)

    def answer_when_all_is_read(connection: socket.socket) -> None:
        connection.sendall(read_to_the_end(connection)[::-1])

    with (
        server(path, answer_when_all_is_read),
        bridging(path) as address,
        socket.create_connection(address, WITHIN) as client,
    ):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert read_to_the_end(client) == sent[::-1]


def test_a_reader_that_pauses_blocks_the_writer(path: Path) -> None:
    go_on = threading.Event()
    received: list[int] = []

    def read_later(connection: socket.socket) -> None:
        assert go_on.wait(WITHIN)
        received.append(len(read_to_the_end(connection)))

    with server(path, read_later), bridging(path) as address, socket.create_connection(address) as client:
        client.setblocking(False)
        sent = 0
        # Send until a send blocks for a second. The buffers of both sockets and the bridge, a few MiB, are full then.
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < 256 << 20:
                sent += client.send(bytes(1 << 16))
        assert sent < 64 << 20, "the bridge buffers data without limit"
        client.settimeout(WITHIN)
        go_on.set()
        client.shutdown(socket.SHUT_WR)
        assert read_to_the_end(client) == b""
    assert received == [sent]


def test_a_reset_connection_is_closed_on_the_other_side(path: Path) -> None:
    ended = threading.Event()

    def read_on(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            read_to_the_end(connection)
        ended.set()

    with server(path, read_on), bridging(path) as address:
        with socket.create_connection(address, WITHIN) as client:
            client.sendall(b"x")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
        assert ended.wait(WITHIN)


def test_without_a_server_the_connection_is_closed(path: Path) -> None:
    with bridging(path) as address, socket.create_connection(address, WITHIN) as client:
        try:
            received = client.recv(1)
        except ConnectionResetError:
            received = b""
        assert received == b""
