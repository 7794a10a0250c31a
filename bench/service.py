"""Implements a minimal grpc.testing.TestService and its clients.

The peers of other languages serve the same methods, so the same client measures all of them.
"""

import queue
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""More than gRPC's default of 4 MiB, because a message with a body of 4 MiB is slightly larger."""

_Input = testing_pb2.StreamingInputCallRequest
_InputTotal = testing_pb2.StreamingInputCallResponse
_Output = testing_pb2.StreamingOutputCallResponse
_OutputRequest = testing_pb2.StreamingOutputCallRequest
_AsyncContext = grpc.aio.ServicerContext[Any, Any]


@lru_cache
def payload(size: int) -> testing_pb2.Payload:
    """Return a body. It is cached, because creating it is not part of the measurement."""
    return testing_pb2.Payload(body=bytes(size))


class Service(testing_pb2_grpc.TestServiceServicer):
    """The service for a synchronous server."""

    def UnaryCall(
        self, request: testing_pb2.SimpleRequest, _context: grpc.ServicerContext
    ) -> testing_pb2.SimpleResponse:
        """Answer with a body of the requested size."""
        return testing_pb2.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request: _OutputRequest, _context: grpc.ServicerContext) -> Iterator[_Output]:
        """Stream bodies of the requested sizes."""
        for each in request.response_parameters:
            yield _Output(payload=payload(each.size))

    def StreamingInputCall(self, request_iterator: Iterator[_Input], _context: grpc.ServicerContext) -> _InputTotal:
        """Add up the sizes of the bodies."""
        return _InputTotal(aggregated_payload_size=sum(len(request.payload.body) for request in request_iterator))

    def FullDuplexCall(
        self, request_iterator: Iterator[_OutputRequest], _context: grpc.ServicerContext
    ) -> Iterator[_Output]:
        """Answer each request as it arrives."""
        for request in request_iterator:
            for each in request.response_parameters:
                yield _Output(payload=payload(each.size))


class AsyncService(testing_pb2_grpc.TestServiceServicer):
    """The service for an asyncio server."""

    async def UnaryCall(
        self, request: testing_pb2.SimpleRequest, _context: _AsyncContext
    ) -> testing_pb2.SimpleResponse:
        """Answer with a body of the requested size."""
        return testing_pb2.SimpleResponse(payload=payload(request.response_size))

    async def StreamingOutputCall(self, request: _OutputRequest, _context: _AsyncContext) -> AsyncIterator[_Output]:
        """Stream bodies of the requested sizes."""
        for each in request.response_parameters:
            yield _Output(payload=payload(each.size))

    async def StreamingInputCall(self, request_iterator: AsyncIterator[_Input], _context: _AsyncContext) -> _InputTotal:
        """Add up the sizes of the bodies."""
        total = 0
        async for request in request_iterator:
            total += len(request.payload.body)
        return _InputTotal(aggregated_payload_size=total)

    async def FullDuplexCall(
        self, request_iterator: AsyncIterator[_OutputRequest], _context: _AsyncContext
    ) -> AsyncIterator[_Output]:
        """Answer each request as it arrives."""
        async for request in request_iterator:
            for each in request.response_parameters:
                yield _Output(payload=payload(each.size))


class GrpcCalls:
    """Implements bench.calls.Calls over a synchronous channel, which all callers share."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = testing_pb2_grpc.TestServiceStub(channel)

    def unary(self, body: bytes) -> int:
        """Send a body, and receive one of the same size."""
        return len(self._stub.UnaryCall(unary_request(body)).payload.body)

    def server_stream(self, size: int, count: int) -> int:
        """Receive a stream of bodies."""
        return sum(len(response.payload.body) for response in self._stub.StreamingOutputCall(asking(size, count)))

    def client_stream(self, body: bytes, count: int) -> int:
        """Send a stream of bodies, and receive the number of bytes that arrived."""
        return self._stub.StreamingInputCall(iter(inputs(body, count))).aggregated_payload_size

    def bidirectional(self, body: bytes, count: int) -> int:
        """Send each body after the answer to the previous one."""
        turns = _Turns(count)
        total = 0
        for response in self._stub.FullDuplexCall(turns.requests(asking_with(body))):
            total += len(response.payload.body)
            turns.next()
        return total


class AsyncGrpcCalls:
    """Implements bench.calls.AsyncCalls over an asyncio channel, which all callers share."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: testing_pb2_grpc.TestServiceAsyncStub = testing_pb2_grpc.TestServiceStub(channel)

    async def unary(self, body: bytes) -> int:
        """Send a body, and receive one of the same size."""
        return len((await self._stub.UnaryCall(unary_request(body))).payload.body)

    async def server_stream(self, size: int, count: int) -> int:
        """Receive a stream of bodies."""
        total = 0
        async for response in self._stub.StreamingOutputCall(asking(size, count)):
            total += len(response.payload.body)
        return total

    async def client_stream(self, body: bytes, count: int) -> int:
        """Send a stream of bodies, and receive the number of bytes that arrived."""
        return (await self._stub.StreamingInputCall(iter(inputs(body, count)))).aggregated_payload_size

    async def bidirectional(self, body: bytes, count: int) -> int:
        """Send each body after the answer to the previous one."""
        call = self._stub.FullDuplexCall()
        request = asking_with(body)
        total = 0
        for _ in range(count):
            await call.write(request)
            response = await call.read()
            assert isinstance(response, _Output)  # noqa: S101 - otherwise the stream has ended early
            total += len(response.payload.body)
        await call.done_writing()
        await call.code()
        return total


def unary_request(body: bytes) -> testing_pb2.SimpleRequest:
    """Return a request for a response of the same size."""
    return testing_pb2.SimpleRequest(response_size=len(body), payload=payload(len(body)))


@lru_cache
def asking(size: int, count: int) -> testing_pb2.StreamingOutputCallRequest:
    """Return a request for a stream of bodies."""
    return _OutputRequest(response_parameters=[testing_pb2.ResponseParameters(size=size)] * count)


def asking_with(body: bytes) -> testing_pb2.StreamingOutputCallRequest:
    """Return a request with a body, for a response of the same size."""
    each = testing_pb2.ResponseParameters(size=len(body))
    return _OutputRequest(response_parameters=[each], payload=payload(len(body)))


def inputs(body: bytes, count: int) -> list[testing_pb2.StreamingInputCallRequest]:
    """Return the requests of a client stream."""
    return [_Input(payload=payload(len(body)))] * count


class _Turns:
    """Yields each request after the answer to the previous one."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._answered: queue.SimpleQueue[None] = queue.SimpleQueue()

    def requests(self, request: _OutputRequest) -> Iterator[_OutputRequest]:
        for _ in range(self._left):
            yield request
            self._answered.get()

    def next(self) -> None:
        self._answered.put(None)
