"""What else may listen on a socket: programs that are no gRPC server, and one that only looks like it."""

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
    ("grpc-message", "only the authority is read here"),
]


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[None]:
    """Something that answers every client with bytes and hangs up; None says nothing and holds on."""

    def answer_once(connection: socket.socket) -> None:
        if answer is not None:
            connection.recv(1024)  # what is not read when a socket closes takes the answer with it
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)

    with neighbour(path, answer_once):
        yield


@contextmanager
def reading_authorities(path: Path) -> Iterator[set[str]]:
    """An HTTP/2 server that answers every call with UNIMPLEMENTED and gives each :authority as it came."""
    authorities: set[str] = set()

    def read_frames(connection: socket.socket) -> None:
        # Whatever a client sends is to be seen, so the library must not refuse what it finds wrong.
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


@contextmanager
def relaying(path: Path, server: Path, *, limits: Iterable[int] = ()) -> Iterator[Callable[[], None]]:
    """Passes bytes on to a server and back; what it gives cuts all connections of this instant.

    Each of the first connections is cut when so many bytes of its client have passed; those that follow are not.
    """
    most = itertools.chain(limits, itertools.repeat(sys.maxsize))

    def relay(connection: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(server))
            back = threading.Thread(target=_pass_on, args=[behind, connection, sys.maxsize])
            back.start()
            _pass_on(connection, behind, next(most))
            back.join()

    with neighbour(path, relay) as cut:
        yield cut


def _pass_on(source: socket.socket, target: socket.socket, most: int) -> None:
    with suppress(OSError):
        while data := source.recv(min(most, 1 << 16)):
            target.sendall(data)
            most -= len(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def neighbour(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[Callable[[], None]]:
    """Serves every connection in a thread of its own until the context ends, and removes the socket then.

    What it gives hangs up on all connections of this instant.
    """
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve_quietly(connection: socket.socket) -> None:
        with suppress(OSError, h2.exceptions.ProtocolError):  # a client may hang up whenever it likes
            serve(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve_quietly, args=[connection]))
                threads[-1].start()

    def hang_up() -> None:
        # Unlike close, shutdown wakes a thread that waits in recv. A copy, as clients connect again meanwhile.
        for connection in connections.copy():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    with listening(path) as listener:
        accepting = threading.Thread(target=accept, args=[listener])
        accepting.start()
        try:
            yield hang_up
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            hang_up()
            for thread in threads:
                thread.join()
            for connection in connections:
                connection.close()
            path.unlink()
