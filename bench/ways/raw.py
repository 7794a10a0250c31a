"""Blocking send and receive on a Unix socket, the baseline of every ratio."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.calls import Calls, Ready

_HEAD = struct.Struct("!BIQ")
"""The kind of call, the size of a body, and the number of bodies."""

_TOTAL = struct.Struct("!Q")
_UNARY, _SERVER_STREAM, _CLIENT_STREAM, _BIDIRECTIONAL = range(4)


def serve(address: str, ready: Ready) -> None:
    """Serve each connection in its own thread."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1024)
        ready(address)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    body = bytearray()
    with connection:
        while head := connection.recv(_HEAD.size, socket.MSG_WAITALL):
            kind, size, count = _HEAD.unpack(head)
            if len(body) != size:
                body = bytearray(size)
            if kind == _SERVER_STREAM:
                for _ in range(count):
                    connection.sendall(body)
                continue
            for _ in range(count):
                _receive(connection, body)
                if kind == _BIDIRECTIONAL:
                    connection.sendall(body)
            if kind == _UNARY:
                connection.sendall(_TOTAL.pack(size) + body if size < 1 << 16 else _TOTAL.pack(size))
                if size >= 1 << 16:
                    connection.sendall(body)
            elif kind == _CLIENT_STREAM:
                connection.sendall(_TOTAL.pack(size * count))


def _receive(connection: socket.socket, body: bytearray) -> int:
    """Fill a buffer, which may be empty."""
    if not body:
        return 0
    received = connection.recv_into(body, len(body), socket.MSG_WAITALL)
    if received < len(body):
        raise ConnectionError("the peer closed the connection")
    return received


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with a connection for each caller, because replies have the order of the requests."""
    yield _RawCalls(address)


class _RawCalls:
    def __init__(self, address: str) -> None:
        self._address = address
        self._own = threading.local()

    def unary(self, body: bytes) -> int:
        connection, buffer = self._begin(_UNARY, len(body), 1, body)
        _TOTAL.unpack(connection.recv(_TOTAL.size, socket.MSG_WAITALL))
        return _receive(connection, buffer)

    def server_stream(self, size: int, count: int) -> int:
        connection, buffer = self._begin(_SERVER_STREAM, size, count)
        return sum(_receive(connection, buffer) for _ in range(count))

    def client_stream(self, body: bytes, count: int) -> int:
        connection, _ = self._begin(_CLIENT_STREAM, len(body), count)
        for _ in range(count):
            connection.sendall(body)
        (total,) = _TOTAL.unpack(connection.recv(_TOTAL.size, socket.MSG_WAITALL))
        return int(total)

    def bidirectional(self, body: bytes, count: int) -> int:
        connection, buffer = self._begin(_BIDIRECTIONAL, len(body), count)
        total = 0
        for _ in range(count):
            connection.sendall(body)
            total += _receive(connection, buffer)
        return total

    def _begin(self, kind: int, size: int, count: int, body: bytes = b"") -> tuple[socket.socket, bytearray]:
        own = self._own
        if not hasattr(own, "connection"):
            own.connection = socket.socket(socket.AF_UNIX)
            own.connection.connect(self._address)
            own.buffer = bytearray()
        if len(own.buffer) != size:
            own.buffer = bytearray(size)
        head = _HEAD.pack(kind, size, count)
        if len(body) < 1 << 16:
            own.connection.sendall(head + body)
        else:
            own.connection.sendall(head)
            own.connection.sendall(body)
        return own.connection, own.buffer
