"""Which messages came compressed: what grpcio tells no handler, and the interop cases ask.

With the channel argument `grpc.per_message_decompression` off, C-core hands over each message as it came over
the wire. So whoever turns it off, server or client, must undo the compression itself, for every method, and
knows by the first bytes of each message whether there was any.
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
"""The option of a server or a channel that has messages handed over as they came."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message, decompressed: gRPC's own default for what an end takes in."""

# RFC 1952 begins gzip so, and RFC 1950 begins what gRPC calls deflate so, for any window of 32 KiB, which is
# zlib's default. No plain message of the contract does: 1f would be field 3 of a wire type that does not
# exist, and 78 a varint in field 15, which none of the messages that these programs take has.
_COMPRESSED = (b"\x1f\x8b", b"\x78")

# zlib.decompressobj: the largest window, and gzip or deflate as the header says.
_ANY_HEADER = zlib.MAX_WBITS + 32

_CHECKED = "/grpc.testing.TestService/"

Message = TypeVar("Message")


@dataclass(frozen=True)
class Received(Generic[Message]):
    """A message, and whether it came compressed."""

    message: Message
    compressed: bool


def receiving(deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Received[Message]]:
    """Makes a deserializer of messages as they came over the wire, which also says whether they came compressed."""

    def receive(data: bytes) -> Received[Message]:
        compressed = data.startswith(_COMPRESSED)
        return Received(deserialize(decompress(data) if compressed else data), compressed)

    return receive


def decompress(data: bytes) -> bytes:
    """Undoes gzip or deflate.

    Raises:
        ValueError: the data is neither, is cut short, or is longer than a message may be.
    """
    decompressor = zlib.decompressobj(_ANY_HEADER)
    try:
        message = decompressor.decompress(data, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"a compressed message of {len(data)} bytes is broken: {error}") from error
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a compressed message of {len(data)} bytes is longer than {MAX_MESSAGE_BYTES} bytes")
    if not decompressor.eof:
        raise ValueError(f"a compressed message of {len(data)} bytes is cut short")
    return message


class CompressionInterceptor(grpc.ServerInterceptor):
    """Decompresses every request, and refuses those of TestService that did not come as they say they do."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Puts both around the method that was called."""
        handler = continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        receive = receiving(handler.request_deserializer)
        behavior = behavior_of(handler)
        if not handler_call_details.method.startswith(_CHECKED):
            # The behavior stays the very object it was: grpc looks for attributes on health's Watch.
            return with_behavior(handler, behavior, lambda data: receive(data).message)
        check = _checked_each if handler.request_streaming else _checked
        return with_behavior(handler, lambda request, context: behavior(check(request, context), context), receive)


class AsyncCompressionInterceptor(grpc.aio.ServerInterceptor):
    """Does what CompressionInterceptor does, on an asyncio server."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Puts both around the method that was called."""
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
    """How a request came otherwise than its `expect_compressed` says, where it says anything."""
    request = received.message
    if not isinstance(request, testing_pb2.SimpleRequest | testing_pb2.StreamingInputCallRequest):
        return None
    if not request.HasField("expect_compressed") or request.expect_compressed.value == received.compressed:
        return None
    came = "compressed" if received.compressed else "uncompressed"
    return f"expect_compressed is {request.expect_compressed.value} and the message came {came}"
