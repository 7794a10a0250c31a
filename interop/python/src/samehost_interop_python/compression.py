"""Detects compressed messages, which grpcio hides from handlers and the interop cases check.

With the channel argument `grpc.per_message_decompression` off, C-core returns each message as it arrived. A server or
client that turns it off must decompress the messages of every method itself. It recognizes compressed messages by their
first bytes.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from samehost.interop import testing_pb2
from samehost_server.handlers import Handler, behavior_of, with_behavior

AS_ON_THE_WIRE = ("grpc.per_message_decompression", 0)
"""The option of a server or channel that returns messages as they arrive, without decompression."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message that is accepted, after decompression. This is gRPC's default."""

# The first bytes of gzip (RFC 1952), and of gRPC's deflate (RFC 1950) with zlib's default window of 32 KiB. No
# uncompressed message of the contract starts like this: 1f would be field 3 with a wire type that does not exist, and
# 78 a varint in field 15, which no message of these programs has.
_COMPRESSED = (b"\x1f\x8b", b"\x78")

# zlib.decompressobj: the largest window, and +32 to detect gzip or deflate from the header.
_ANY_HEADER = zlib.MAX_WBITS + 32

_CHECKED = "/grpc.testing.TestService/"

Message = TypeVar("Message")


@dataclass(frozen=True)
class Received(Generic[Message]):
    """A message, and whether it was compressed."""

    message: Message
    compressed: bool


def receiving(deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Received[Message]]:
    """Wrap a deserializer so that it decompresses messages and reports whether they were compressed."""

    def receive(data: bytes) -> Received[Message]:
        compressed = data.startswith(_COMPRESSED)
        return Received(deserialize(decompress(data) if compressed else data), compressed)

    return receive


def decompress(data: bytes) -> bytes:
    """Decompress gzip or deflate.

    Raises:
        ValueError: the data has another format, is incomplete, or exceeds MAX_MESSAGE_BYTES.
    """
    decompressor = zlib.decompressobj(_ANY_HEADER)
    try:
        message = decompressor.decompress(data, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"cannot decompress a message of {len(data)} bytes: {error}") from error
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError(f"cannot decompress a message of {len(data)} bytes: it exceeds {MAX_MESSAGE_BYTES} bytes")
    if not decompressor.eof:
        raise ValueError(f"cannot decompress a message of {len(data)} bytes: it is incomplete")
    return message


class CompressionInterceptor(grpc.ServerInterceptor):
    """Decompress every request, and reject requests of TestService whose `expect_compressed` is wrong."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method that is called."""
        handler = continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        receive = receiving(handler.request_deserializer)
        behavior = behavior_of(handler)
        if not handler_call_details.method.startswith(_CHECKED):
            # Keep the behavior object, because grpc reads attributes of health's Watch.
            return with_behavior(handler, behavior, lambda data: receive(data).message)
        check = _checked_each if handler.request_streaming else _checked
        return with_behavior(handler, lambda request, context: behavior(check(request, context), context), receive)


class AsyncCompressionInterceptor(grpc.aio.ServerInterceptor):
    """Do the same as CompressionInterceptor on an asyncio server."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method that is called."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        receive = receiving(handler.request_deserializer)
        behavior = behavior_of(handler)
        if not handler_call_details.method.startswith(_CHECKED):
            return with_behavior(handler, behavior, lambda data: receive(data).message)
        check: Callable[..., Awaitable[Any]] = _checked_each_async if handler.request_streaming else _checked_async

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            return await behavior(await check(request, context), context)

        async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with aclosing(behavior(await check(request, context), context)) as responses:
                async for response in responses:
                    yield response

        return with_behavior(handler, stream if handler.response_streaming else answer, receive)


def _checked(received: Received[Any], context: grpc.ServicerContext) -> Any:
    if fault := _fault(received):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
    return received.message


def _checked_each(requests: Iterator[Received[Any]], context: grpc.ServicerContext) -> Iterator[Any]:
    return (_checked(received, context) for received in requests)


async def _checked_async(received: Received[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    if fault := _fault(received):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
    return received.message


async def _checked_each_async(
    requests: AsyncIterator[Received[Any]], context: grpc.aio.ServicerContext[Any, Any]
) -> AsyncIterator[Any]:
    return (await _checked_async(received, context) async for received in requests)


def _fault(received: Received[Any]) -> str | None:
    """Describe how a request differs from its `expect_compressed`, if it has one."""
    request = received.message
    if not isinstance(request, testing_pb2.SimpleRequest | testing_pb2.StreamingInputCallRequest):
        return None
    if not request.HasField("expect_compressed") or request.expect_compressed.value == received.compressed:
        return None
    actual = "compressed" if received.compressed else "uncompressed"
    return f"expect_compressed is {request.expect_compressed.value}, but the message is {actual}"
