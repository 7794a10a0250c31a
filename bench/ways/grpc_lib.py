"""grpclib with its defaults: pure Python, in an event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpclib.client
import grpclib.server

from bench.calls import AsyncCalls, Ready
from bench.service import asking, asking_with, inputs, payload, unary_request
from samehost.interop import testing_grpc, testing_pb2

_Stream = grpclib.server.Stream
_Output = testing_pb2.StreamingOutputCallResponse
_OutputRequest = testing_pb2.StreamingOutputCallRequest


class _Service(testing_grpc.TestServiceBase):
    async def UnaryCall(self, stream: "_Stream[testing_pb2.SimpleRequest, testing_pb2.SimpleResponse]") -> None:
        async for request in stream:
            await stream.send_message(testing_pb2.SimpleResponse(payload=payload(request.response_size)))

    async def StreamingOutputCall(self, stream: "_Stream[_OutputRequest, _Output]") -> None:
        async for request in stream:
            for each in request.response_parameters:
                await stream.send_message(_Output(payload=payload(each.size)))

    FullDuplexCall = StreamingOutputCall

    async def StreamingInputCall(
        self, stream: "_Stream[testing_pb2.StreamingInputCallRequest, testing_pb2.StreamingInputCallResponse]"
    ) -> None:
        total = 0
        async for request in stream:
            total += len(request.payload.body)
        await stream.send_message(testing_pb2.StreamingInputCallResponse(aggregated_payload_size=total))

    async def EmptyCall(self, stream: object) -> None:
        raise NotImplementedError

    CacheableUnaryCall = HalfDuplexCall = UnimplementedCall = EmptyCall


async def serve_async(address: str, ready: Ready) -> None:
    """Serve in an event loop."""
    server = grpclib.server.Server([_Service()])
    await server.start(path=address)
    ready(address)
    await asyncio.Event().wait()


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """Create a client with one channel."""
    async with grpclib.client.Channel(path=address) as channel:
        yield _GrpclibCalls(testing_grpc.TestServiceStub(channel))


class _GrpclibCalls:
    def __init__(self, stub: testing_grpc.TestServiceStub) -> None:
        self._stub = stub

    async def unary(self, body: bytes) -> int:
        return len((await self._stub.UnaryCall(unary_request(body))).payload.body)

    async def server_stream(self, size: int, count: int) -> int:
        total = 0
        async with self._stub.StreamingOutputCall.open() as stream:
            await stream.send_message(asking(size, count), end=True)
            async for response in stream:
                total += len(response.payload.body)
        return total

    async def client_stream(self, body: bytes, count: int) -> int:
        return (await self._stub.StreamingInputCall(inputs(body, count))).aggregated_payload_size

    async def bidirectional(self, body: bytes, count: int) -> int:
        request = asking_with(body)
        total = 0
        async with self._stub.FullDuplexCall.open() as stream:
            for _ in range(count):
                await stream.send_message(request)
                response = await stream.recv_message()
                total += len(response.payload.body) if response else 0
            await stream.end()
        return total
