"""connectrpc: Connect over HTTP/1.1, with uvicorn. It uses TCP, because its client does not support Unix sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from connectrpc.client import ConnectClient
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_codecs
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from pyqwest import Client, HTTPTransport

from bench.calls import AsyncCalls, Ready
from bench.service import asking, inputs, payload, unary_request
from bench.ways.http import run_uvicorn
from samehost.interop import testing_pb2

_SERVICE = "grpc.testing.TestService"


def _method(name: str, request: type[Any], response: type[Any], stream_type: StreamType) -> Any:
    return MethodInfo(
        name=name,
        service_name=_SERVICE,
        input=request,
        output=response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=stream_type,
    )


_UNARY = _method("UnaryCall", testing_pb2.SimpleRequest, testing_pb2.SimpleResponse, StreamType.UNARY)
_OUTPUT = _method(
    "StreamingOutputCall",
    testing_pb2.StreamingOutputCallRequest,
    testing_pb2.StreamingOutputCallResponse,
    StreamType.SERVER_STREAM,
)
_INPUT = _method(
    "StreamingInputCall",
    testing_pb2.StreamingInputCallRequest,
    testing_pb2.StreamingInputCallResponse,
    StreamType.CLIENT_STREAM,
)


async def _unary(request: testing_pb2.SimpleRequest, _context: object) -> testing_pb2.SimpleResponse:
    return testing_pb2.SimpleResponse(payload=payload(request.response_size))


async def _output(
    request: testing_pb2.StreamingOutputCallRequest, _context: object
) -> AsyncIterator[testing_pb2.StreamingOutputCallResponse]:
    for each in request.response_parameters:
        yield testing_pb2.StreamingOutputCallResponse(payload=payload(each.size))


async def _input(
    requests: AsyncIterator[testing_pb2.StreamingInputCallRequest], _context: object
) -> testing_pb2.StreamingInputCallResponse:
    total = 0
    async for request in requests:
        total += len(request.payload.body)
    return testing_pb2.StreamingInputCallResponse(aggregated_payload_size=total)


class _Application(ConnectASGIApplication):  # type: ignore[misc]  # see http.py
    path = f"/{_SERVICE}"

    def __init__(self) -> None:
        endpoints = {
            f"{self.path}/UnaryCall": Endpoint.unary(_UNARY, _unary),
            f"{self.path}/StreamingOutputCall": Endpoint.server_stream(_OUTPUT, _output),
            f"{self.path}/StreamingInputCall": Endpoint.client_stream(_INPUT, _input),
        }
        super().__init__(
            service=None,
            endpoints=lambda _service: endpoints,
            codecs=google_protobuf_codecs(),
            compressions=[],
            read_max_bytes=None,
        )


def serve(address: str, ready: Ready) -> None:
    """Serve in uvicorn's loop on a free port of the host."""
    run_uvicorn(_Application(), ready, host=address.rpartition(":")[0], port=0)


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """Create a client without compression, which saves no bandwidth on one machine."""
    async with ConnectClient(
        f"http://{address}",
        codec=google_protobuf_binary_codec(),
        send_compression=None,
        accept_compression=[],
        http_client=Client(HTTPTransport()),  # by default, all clients share their connections
    ) as client:
        yield _ConnectCalls(client)


class _ConnectCalls:
    def __init__(self, client: ConnectClient) -> None:
        self._client = client

    async def unary(self, body: bytes) -> int:
        response = await self._client.execute_unary(request=unary_request(body), method=_UNARY)
        return len(response.payload.body)

    async def server_stream(self, size: int, count: int) -> int:
        total = 0
        async for response in self._client.execute_server_stream(request=asking(size, count), method=_OUTPUT):
            total += len(response.payload.body)
        return total

    async def client_stream(self, body: bytes, count: int) -> int:
        async def requests() -> AsyncIterator[testing_pb2.StreamingInputCallRequest]:
            for request in inputs(body, count):
                yield request

        response = await self._client.execute_client_stream(request=requests(), method=_INPUT)
        return int(response.aggregated_payload_size)

    async def bidirectional(self, body: bytes, count: int) -> int:
        raise NotImplementedError("Connect supports bidirectional streams only over HTTP/2")
