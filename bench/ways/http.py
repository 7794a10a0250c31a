"""HTTP/1.1 over a Unix socket, with uvicorn as the server and http.client as the client."""

import http.client
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from bench.calls import Calls, Ready

_CHUNK = 64 * 1024


async def _application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer POST /unary, /server_stream/SIZE/COUNT and /client_stream (ASGI 3)."""
    _, kind, *numbers = scope["path"].split("/")
    parts = []
    more = True
    while more:
        event = await receive()
        parts.append(event.get("body", b""))
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    match kind:
        case "server_stream":
            body = bytes(int(numbers[0]))
            for _ in range(int(numbers[1])):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body"})
        case "client_stream":
            await send({"type": "http.response.body", "body": str(sum(map(len, parts))).encode()})
        case _:
            await send({"type": "http.response.body", "body": b"".join(parts)})


_KEEP_ALIVE_SECONDS = 3600
"""Longer than any pause between two turns. With uvicorn's 5 s, http.client and connectrpc would fail."""


class _Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn is only in the lock of the bench, not in that of mypy
    def __init__(self, config: object, ready: Ready) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        match self.servers[0].sockets[0].getsockname():
            case str(path):
                self._ready(path)
            case (host, port):
                self._ready(f"{host}:{port}")


def serve(address: str, ready: Ready) -> None:
    """Serve in uvicorn's loop, with uvloop and httptools."""
    run_uvicorn(_application, ready, uds=address)


def run_uvicorn(application: object, ready: Ready, **options: object) -> None:
    """Serve an ASGI application until the process is killed."""
    quiet = {"log_level": "warning", "access_log": False, "timeout_keep_alive": _KEEP_ALIVE_SECONDS}
    _Server(uvicorn.Config(application, **quiet, **options), ready).run()


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with a connection for each caller, as HTTP/1.1 requires."""
    yield _HttpCalls(address)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class _HttpCalls:
    def __init__(self, address: str) -> None:
        self._address = address
        self._own = threading.local()

    def unary(self, body: bytes) -> int:
        return len(self._post("/unary", body).read())

    def server_stream(self, size: int, count: int) -> int:
        response = self._post(f"/server_stream/{size}/{count}", b"")
        total = 0
        while part := response.read1(max(size, _CHUNK)):
            total += len(part)
        return total

    def client_stream(self, body: bytes, count: int) -> int:
        return int(self._post("/client_stream", iter([body] * count)).read())

    def bidirectional(self, body: bytes, count: int) -> int:
        raise NotImplementedError("HTTP/1.1 answers only after the end of the request")

    def _post(self, path: str, body: bytes | Iterator[bytes]) -> http.client.HTTPResponse:
        if not hasattr(self._own, "connection"):
            self._own.connection = _Connection(self._address)
        connection: _Connection = self._own.connection
        connection.request("POST", path, body, encode_chunked=not isinstance(body, bytes), headers=_headers(body))
        return connection.getresponse()


def _headers(body: bytes | Iterator[bytes]) -> dict[str, str]:
    return {} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
