"""A server finds connected clients by its own descriptors."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import listening
from samehost_server._connections import is_client_connected


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    with listening(path) as listener:
        yield listener


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


@pytest.mark.usefixtures("listener")
def test_a_listener_without_clients(path: Path) -> None:
    assert not is_client_connected(str(path))


def test_connections_that_wait_or_are_accepted_count(path: Path, listener: socket.socket) -> None:
    with connected(path):
        assert is_client_connected(str(path))
        connection, _ = listener.accept()
        with connection:
            path.rename(path.with_name("public.sock"))
            assert is_client_connected(str(path)), "the connection keeps the name that was bound after a rename"
        assert not is_client_connected(str(path))


def test_a_connection_that_the_client_closed_counts_until_the_server_closes_it(
    path: Path, listener: socket.socket
) -> None:
    with connected(path):
        connection, _ = listener.accept()
    with connection:
        assert is_client_connected(str(path))
    assert not is_client_connected(str(path))


def test_connections_of_other_sockets_do_not_count(path: Path) -> None:
    other = path.with_name("other.sock")
    with listening(path), listening(other) as listener, connected(other), listener.accept()[0]:
        assert is_client_connected(str(other))
        assert not is_client_connected(str(path))


def test_descriptors_stay_open_and_keep_their_mode(path: Path, listener: socket.socket) -> None:
    before = socket.getdefaulttimeout()
    with connected(path) as client:
        connection, _ = listener.accept()
        connection.setblocking(True)
        socket.setdefaulttimeout(1.0)
        try:
            assert is_client_connected(str(path))
        finally:
            socket.setdefaulttimeout(before)
        with connection:
            client.sendall(b"hello")
            assert connection.recv(5) == b"hello"
            assert os.get_blocking(connection.fileno())
