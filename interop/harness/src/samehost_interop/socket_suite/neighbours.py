"""Listeners that are not gRPC servers, one that only looks like a server, and a relay."""

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from samehost_interop.socket_suite.pair import listening

_UNIMPLEMENTED = [
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "12"),
    ("grpc-message", "this server only reads the authority"),
]


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[None]:
    """Send every client these bytes and close the connection. With None, send nothing and keep it open."""

    def answer_once(connection: socket.socket) -> None:
        if answer is not None:
            connection.recv(1024)  # closing a socket with unread data would discard the answer
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)

    with neighbour(path, answer_once):
        yield


@contextmanager
def reading_authorities(path: Path) -> Iterator[set[str]]:
    """Run an HTTP/2 server that answers every call with UNIMPLEMENTED, and collect each :authority."""
    authorities: set[str] = set()

    def read_frames(connection: socket.socket) -> None:
        # Without validation, because the library would reject an invalid :authority.
        config = h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        http = h2.connection.H2Connection(config)
        http.initiate_connection()
        connection.sendall(http.data_to_send())
        while data := connection.recv(1 << 16):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    authorities.add(dict(event.headers or []).get(b":authority", b"").decode())
                    http.send_headers(event.stream_id, _UNIMPLEMENTED, end_stream=True)
            connection.sendall(http.data_to_send())

    with neighbour(path, read_frames):
        yield authorities


class Cut:
    """Closes one connection of a relay during a call."""

    def __init__(self) -> None:
        self._orders = threading.Semaphore(0)
        self.made = False

    def order(self) -> None:
        """Order a cut of the next connection on which the server answers again."""
        self._orders.release()

    def is_due(self) -> bool:
        """Take an order, and return whether there was one."""
        due = self._orders.acquire(blocking=False)
        self.made = self.made or due
        return due


@contextmanager
def relaying(path: Path, server: Path, *, limits: Iterable[int] = ()) -> Iterator[Cut]:
    """Relay bytes to a server and back. The result closes one connection when it is ordered to.

    Each limit closes one of the first connections after this number of bytes from its client. Later connections have no
    limit.
    """
    most = itertools.chain(limits, itertools.repeat(sys.maxsize))
    cut = Cut()

    def relay(connection: socket.socket) -> None:
        # A connection is established once the client sends data after an answer of the server.
        answered, established = threading.Event(), threading.Event()

        def send_to_server(data: bytes) -> None:
            if answered.is_set():
                established.set()
            behind.sendall(data)

        def send_to_client(data: bytes) -> None:
            if established.is_set() and cut.is_due():
                raise ConnectionAbortedError
            connection.sendall(data)
            answered.set()

        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(server))
            back = threading.Thread(target=_relay, args=[behind, connection, sys.maxsize, send_to_client])
            back.start()
            _relay(connection, behind, next(most), send_to_server)
            back.join()

    with neighbour(path, relay):
        yield cut


def _relay(source: socket.socket, target: socket.socket, most: int, send: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(min(most, 1 << 16)):
            send(data)
            most -= len(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def neighbour(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve every connection in its own thread until the context ends, and then remove the socket."""
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve_quietly(connection: socket.socket) -> None:
        with suppress(OSError, h2.exceptions.ProtocolError):  # a client may close the connection at any time
            serve(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve_quietly, args=[connection]))
                threads[-1].start()

    def close_all() -> None:
        # Unlike close, shutdown wakes a thread that waits in recv. A copy, because clients may reconnect meanwhile.
        for connection in connections.copy():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    with listening(path) as listener:
        accepting = threading.Thread(target=accept, args=[listener])
        accepting.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            close_all()
            for thread in threads:
                thread.join()
            for connection in connections:
                connection.close()
            path.unlink()
