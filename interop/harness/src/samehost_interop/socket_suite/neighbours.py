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


class Cut:
    """The end of one of the connections that a relay passes on, in the midst of a call."""

    def __init__(self) -> None:
        self._orders = threading.Semaphore(0)
        self.made = False

    def order(self) -> None:
        """Asks for it on the next connection where a server answers a client that it has answered before."""
        self._orders.release()

    def is_due(self) -> bool:
        """Takes an order, if there is one, for who makes the cut."""
        due = self._orders.acquire(blocking=False)
        self.made = self.made or due
        return due


@contextmanager
def relaying(path: Path, server: Path, *, limits: Iterable[int] = ()) -> Iterator[Cut]:
    """Passes bytes on to a server and back; what it gives cuts one connection when it is ordered to.

    Each of the first connections is cut when so many bytes of its client have passed; those that follow are not.
    """
    most = itertools.chain(limits, itertools.repeat(sys.maxsize))
    cut = Cut()

    def relay(connection: socket.socket) -> None:
        # A client that speaks when its server has spoken has a connection, and is not about to make one.
        answered, established = threading.Event(), threading.Event()

        def say_to_server(data: bytes) -> None:
            if answered.is_set():
                established.set()
            behind.sendall(data)

        def say_to_client(data: bytes) -> None:
            if established.is_set() and cut.is_due():
                raise ConnectionAbortedError
            connection.sendall(data)
            answered.set()

        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(server))
            back = threading.Thread(target=_pass_on, args=[behind, connection, sys.maxsize, say_to_client])
            back.start()
            _pass_on(connection, behind, next(most), say_to_server)
            back.join()

    with neighbour(path, relay):
        yield cut


def _pass_on(source: socket.socket, target: socket.socket, most: int, say: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(min(most, 1 << 16)):
            say(data)
            most -= len(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def neighbour(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serves every connection in a thread of its own until the context ends, and removes the socket then."""
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
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            hang_up()
            for thread in threads:
                thread.join()
            for connection in connections:
                connection.close()
            path.unlink()
