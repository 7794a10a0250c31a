"""grpc.testing.TestService with as little between gRPC and the caller as can be, and clients of it.

The peers of other languages serve the same methods, so one client measures them all.
"""

import queue
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""More than gRPC's own limit of 4 MiB, which bodies of 4 MiB are just beyond."""

_Input = testing_pb2.StreamingInputCallRequest
_InputTotal = testing_pb2.StreamingInputCallResponse
_Output = testing_pb2.StreamingOutputCallResponse
_OutputRequest = testing_pb2.StreamingOutputCallRequest
_AsyncContext = grpc.aio.ServicerContext[Any, Any]


@lru_cache
def payload(size: int) -> testing_pb2.Payload:
    """A body; made once, as it is gRPC that is measured and not how a body is made."""
    return testing_pb2.Payload(body=bytes(size))


class Service(testing_pb2_grpc.TestServiceServicer):
    """For a synchronous server."""

    def UnaryCall(
        self, request: testing_pb2.SimpleRequest, _context: grpc.ServicerContext
    ) -> testing_pb2.SimpleResponse:
        """Answers with as many bytes as are asked for."""
        return testing_pb2.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request: _OutputRequest, _context: grpc.ServicerContext) -> Iterator[_Output]:
        """Streams bodies of the sizes that are asked for."""
        for each in request.response_parameters:
            yield _Output(payload=payload(each.size))

    def StreamingInputCall(self, request_iterator: Iterator[_Input], _context: grpc.ServicerContext) -> _InputTotal:
        """Sums up what it is sent."""
        return _InputTotal(aggregated_payload_size=sum(len(request.payload.body) for request in request_iterator))

    def FullDuplexCall(
        self, request_iterator: Iterator[_OutputRequest], _context: grpc.ServicerContext
    ) -> Iterator[_Output]:
        """Answers each request as it comes."""
        for request in request_iterator:
            for each in request.response_parameters:
                yield _Output(payload=payload(each.size))


class AsyncService(testing_pb2_grpc.TestServiceServicer):
    """For an asyncio server."""

    async def UnaryCall(
        self, request: testing_pb2.SimpleRequest, _context: _AsyncContext
    ) -> testing_pb2.SimpleResponse:
        """Answers with as many bytes as are asked for."""
        return testing_pb2.SimpleResponse(payload=payload(request.response_size))

    async def StreamingOutputCall(self, request: _OutputRequest, _context: _AsyncContext) -> AsyncIterator[_Output]:
        """Streams bodies of the sizes that are asked for."""
        for each in request.response_parameters:
            yield _Output(payload=payload(each.size))

    async def StreamingInputCall(self, request_iterator: AsyncIterator[_Input], _context: _AsyncContext) -> _InputTotal:
        """Sums up what it is sent."""
        total = 0
        async for request in request_iterator:
            total += len(request.payload.body)
        return _InputTotal(aggregated_payload_size=total)

    async def FullDuplexCall(
        self, request_iterator: AsyncIterator[_OutputRequest], _context: _AsyncContext
    ) -> AsyncIterator[_Output]:
        """Answers each request as it comes."""
        async for request in request_iterator:
            for each in request.response_parameters:
                yield _Output(payload=payload(each.size))


class GrpcCalls:
    """bench.calls.Calls over a synchronous channel, which all callers share."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = testing_pb2_grpc.TestServiceStub(channel)

    def unary(self, body: bytes) -> int:
        """Sends a body and takes as many bytes in return."""
        return len(self._stub.UnaryCall(unary_request(body)).payload.body)

    def server_stream(self, size: int, count: int) -> int:
        """Takes a stream of bodies."""
        return sum(len(response.payload.body) for response in self._stub.StreamingOutputCall(asking(size, count)))

    def client_stream(self, body: bytes, count: int) -> int:
        """Sends a stream of bodies, and is told how many bytes arrived."""
        return self._stub.StreamingInputCall(iter(inputs(body, count))).aggregated_payload_size

    def bidirectional(self, body: bytes, count: int) -> int:
        """Sends each body when the last one was answered."""
        turns = _Turns(count)
        total = 0
        for response in self._stub.FullDuplexCall(turns.requests(asking_with(body))):
            total += len(response.payload.body)
            turns.next()
        return total


class AsyncGrpcCalls:
    """bench.calls.AsyncCalls over an asyncio channel, which all callers share."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: testing_pb2_grpc.TestServiceAsyncStub = testing_pb2_grpc.TestServiceStub(channel)

    async def unary(self, body: bytes) -> int:
        """Sends a body and takes as many bytes in return."""
        return len((await self._stub.UnaryCall(unary_request(body))).payload.body)

    async def server_stream(self, size: int, count: int) -> int:
        """Takes a stream of bodies."""
        total = 0
        async for response in self._stub.StreamingOutputCall(asking(size, count)):
            total += len(response.payload.body)
        return total

    async def client_stream(self, body: bytes, count: int) -> int:
        """Sends a stream of bodies, and is told how many bytes arrived."""
        return (await self._stub.StreamingInputCall(iter(inputs(body, count)))).aggregated_payload_size

    async def bidirectional(self, body: bytes, count: int) -> int:
        """Sends each body when the last one was answered."""
        call = self._stub.FullDuplexCall()
        request = asking_with(body)
        total = 0
        for _ in range(count):
            await call.write(request)
            response = await call.read()
            assert isinstance(response, _Output)  # noqa: S101 - else the stream has ended, which the count would show
            total += len(response.payload.body)
        await call.done_writing()
        await call.code()
        return total


def unary_request(body: bytes) -> testing_pb2.SimpleRequest:
    """A request that asks for as many bytes as it has."""
    return testing_pb2.SimpleRequest(response_size=len(body), payload=payload(len(body)))


@lru_cache
def asking(size: int, count: int) -> testing_pb2.StreamingOutputCallRequest:
    """A request for a stream of bodies."""
    return _OutputRequest(response_parameters=[testing_pb2.ResponseParameters(size=size)] * count)


def asking_with(body: bytes) -> testing_pb2.StreamingOutputCallRequest:
    """A request that carries a body and asks for one of the same size."""
    each = testing_pb2.ResponseParameters(size=len(body))
    return _OutputRequest(response_parameters=[each], payload=payload(len(body)))


def inputs(body: bytes, count: int) -> list[testing_pb2.StreamingInputCallRequest]:
    """The requests of a client's stream."""
    return [_Input(payload=payload(len(body)))] * count


class _Turns:
    """Requests of which each is taken when the last one was answered."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._answered: queue.SimpleQueue[None] = queue.SimpleQueue()

    def requests(self, request: _OutputRequest) -> Iterator[_OutputRequest]:
        for _ in range(self._left):
            yield request
            self._answered.get()

    def next(self) -> None:
        self._answered.put(None)
