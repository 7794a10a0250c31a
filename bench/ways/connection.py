"""multiprocessing.connection: messages of bytes, from the standard library."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from bench.calls import Calls, Ready


def serve(address: str, ready: Ready) -> None:
    """Serve each connection in its own thread."""
    with Listener(address, "AF_UNIX", backlog=1024) as listener:
        ready(address)
        while True:
            threading.Thread(target=_answer, args=(listener.accept(),), daemon=True).start()


def _answer(connection: "Connection[Any, Any]") -> None:
    with connection:
        while True:
            try:
                kind, size, count = connection.recv()
            except EOFError:
                return
            body = bytes(size)
            if kind == "server_stream":
                for _ in range(count):
                    connection.send_bytes(body)
            elif kind == "client_stream":
                connection.send(sum(len(connection.recv_bytes()) for _ in range(count)))
            else:
                for _ in range(count):
                    connection.send_bytes(connection.recv_bytes())


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with a connection for each caller, because replies have the order of the requests."""
    yield _ConnectionCalls(address)


class _ConnectionCalls:
    def __init__(self, address: str) -> None:
        self._address = address
        self._own = threading.local()

    def unary(self, body: bytes) -> int:
        return self.bidirectional(body, 1)

    def server_stream(self, size: int, count: int) -> int:
        connection = self._begin("server_stream", size, count)
        return sum(len(connection.recv_bytes()) for _ in range(count))

    def client_stream(self, body: bytes, count: int) -> int:
        connection = self._begin("client_stream", len(body), count)
        for _ in range(count):
            connection.send_bytes(body)
        return int(connection.recv())

    def bidirectional(self, body: bytes, count: int) -> int:
        connection = self._begin("bidirectional", len(body), count)
        total = 0
        for _ in range(count):
            connection.send_bytes(body)
            total += len(connection.recv_bytes())
        return total

    def _begin(self, kind: str, size: int, count: int) -> "Connection[Any, Any]":
        if not hasattr(self._own, "connection"):
            self._own.connection = Client(self._address, "AF_UNIX")
        connection: Connection[Any, Any] = self._own.connection
        connection.send((kind, size, count))
        return connection
