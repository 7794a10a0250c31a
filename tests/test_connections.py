"""Whether clients are connected, which servers ask of their own descriptors."""

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


def dial(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


@pytest.mark.usefixtures("listener")
def test_a_listener_alone_has_none(path: Path) -> None:
    assert not is_client_connected(str(path))


def test_one_that_waits_to_be_accepted_counts_and_so_does_an_accepted_one(path: Path, listener: socket.socket) -> None:
    with dial(path):
        assert is_client_connected(str(path))
        connection, _ = listener.accept()
        with connection:
            path.rename(path.with_name("public.sock"))
            assert is_client_connected(str(path)), "it has the name that was bound, whatever that is called now"
        assert not is_client_connected(str(path))


def test_one_whose_client_has_hung_up_counts_until_the_server_closes_it(path: Path, listener: socket.socket) -> None:
    with dial(path):
        connection, _ = listener.accept()
    with connection:
        assert is_client_connected(str(path))
    assert not is_client_connected(str(path))


def test_connections_of_other_sockets_do_not_count(path: Path) -> None:
    other = path.with_name("other.sock")
    with listening(path), listening(other) as listener, dial(other), listener.accept()[0]:
        assert is_client_connected(str(other))
        assert not is_client_connected(str(path))


def test_descriptors_stay_open_and_as_they_are(path: Path, listener: socket.socket) -> None:
    before = socket.getdefaulttimeout()
    with dial(path) as client:
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
