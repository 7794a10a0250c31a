"""ZeroMQ: DEALER in the client and ROUTER in the server. A stream is one message of many parts."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from bench.calls import Calls, Ready


def serve(address: str, ready: Ready) -> None:
    """Serve all clients in one thread."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(f"ipc://{address}")
        ready(address)
        while True:
            client, head, *bodies = router.recv_multipart(copy=False)
            kind, size, count = json.loads(bytes(head.buffer))
            match kind:
                case "server_stream":
                    answer = [bytes(size)] * count
                case "client_stream":
                    answer = [str(sum(len(body) for body in bodies)).encode()]
                case _:
                    answer = bodies
            router.send_multipart([client, *answer], copy=False)


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with a connection for each caller, because a socket belongs to one thread."""
    with zmq.Context() as context:
        calls = _ZeroMqCalls(context, address)
        yield calls
        calls.close()


class _ZeroMqCalls:
    """Uses DEALER, because REQ adds an empty part to each message of the ROUTER."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str) -> None:
        self._context = context
        self._address = address
        self._own = threading.local()
        self._sockets: list[zmq.Socket[bytes]] = []

    def unary(self, body: bytes) -> int:
        return self._ask("unary", len(body), 1, [body])

    def server_stream(self, size: int, count: int) -> int:
        return self._ask("server_stream", size, count, [])

    def client_stream(self, body: bytes, count: int) -> int:
        socket = self._send("client_stream", len(body), count, [body] * count)
        return int(socket.recv())

    def bidirectional(self, body: bytes, count: int) -> int:
        return sum(self._ask("unary", len(body), 1, [body]) for _ in range(count))

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(linger=0)

    def _ask(self, kind: str, size: int, count: int, bodies: list[bytes]) -> int:
        answer = self._send(kind, size, count, bodies).recv_multipart(copy=False)
        return sum(len(body) for body in answer)

    def _send(self, kind: str, size: int, count: int, bodies: list[bytes]) -> "zmq.Socket[bytes]":
        if not hasattr(self._own, "socket"):
            self._own.socket = self._context.socket(zmq.DEALER)
            self._own.socket.connect(f"ipc://{self._address}")
            self._sockets.append(self._own.socket)
        socket: zmq.Socket[bytes] = self._own.socket
        socket.send_multipart([json.dumps([kind, size, count]).encode(), *bodies], copy=False)
        return socket
