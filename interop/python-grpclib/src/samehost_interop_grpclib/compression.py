"""Adds compressed messages to grpclib, between its methods and HTTP/2.

grpclib rejects compressed messages and sends every message uncompressed (vmagamedov/grpclib 199). Everything that it
reads and writes passes through `grpclib.protocol.Stream`, where a message still has its prefix of five bytes.
`MessageStream` decompresses incoming messages there, and compresses outgoing messages on request.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import EventsProcessor

from samehost_interop_grpclib.turns import Stream

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message that is accepted, after decompression. This is gRPC's default; grpclib has no limit."""

# grpc/grpc doc/PROTOCOL-HTTP2.md: "Length-Prefixed-Message → Compressed-Flag Message-Length Message".
_PREFIX = struct.Struct(">?I")

_ENCODING = ("grpc-encoding", "gzip")
_ACCEPTED = ("grpc-accept-encoding", "identity,deflate,gzip")

# zlib's largest window. +16 writes a gzip header; +32 detects gzip or deflate from the header when decompressing.
_GZIP = zlib.MAX_WBITS + 16
_ANY_HEADER = zlib.MAX_WBITS + 32

_compressing: ContextVar[bool] = ContextVar("compressing", default=False)
_current: ContextVar["MessageStream"] = ContextVar("current")


@contextmanager
def compressing() -> Iterator[None]:
    """Make the calls that start in this block announce gzip and compress what they send, until `compress` is False."""
    token = _compressing.set(True)
    try:
        yield
    finally:
        _compressing.reset(token)


def current() -> "MessageStream":
    """Return the current call: in a handler the call that it answers, elsewhere the last call that this task made."""
    return _current.get()


class MessageStream(Stream):
    """The HTTP/2 stream of one call, which compresses and decompresses messages.

    Attributes:
        announced: whether this side's headers announce compression. Set it before the headers are sent.
        compress: whether to compress the next message.
        compressed: whether the last message that arrived was compressed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.announced = self.compress = _compressing.get()
        self.compressed = False
        self._message: bytes | None = None
        # A task inherits the context in which it is created. On a server, the task of the handler is created next.
        _current.set(self)

    async def recv_data(self, size: int) -> bytes:
        """Return a prefix and then its message to grpclib.stream.recv_message, as if the message were uncompressed."""
        if self._message is not None:
            message, self._message = self._message, None
            return message
        prefix = await super().recv_data(size)
        if not prefix:
            return prefix
        self.compressed, length = _PREFIX.unpack(prefix)
        if length > MAX_MESSAGE_BYTES:
            raise _too_long(length)
        message = await super().recv_data(length)
        self._message = decompress(message) if self.compressed else message
        return _PREFIX.pack(False, len(self._message))

    async def send_data(self, data: bytes, end_stream: bool = False) -> None:
        """Send the prefix and the uncompressed message of grpclib.stream.send_message, compressed on request."""
        if self.compress:
            compressor = zlib.compressobj(wbits=_GZIP)
            message = compressor.compress(data[_PREFIX.size :]) + compressor.flush()
            data = _PREFIX.pack(True, len(message)) + message
        await super().send_data(data, end_stream=end_stream)

    async def send_request(
        self, headers: list[tuple[str, str]], end_stream: bool = False, *, _processor: EventsProcessor
    ) -> Any:
        """Send a client's headers, plus those about compression, which grpclib has no option for."""
        return await super().send_request([*headers, *self._compression_headers()], end_stream, _processor=_processor)

    async def send_headers(self, headers: list[tuple[str, str]], end_stream: bool = False) -> None:
        """Send a server's headers or trailers. Headers start with an HTTP status; trailers do not."""
        if headers[0][0] == ":status":
            headers = [*headers, *self._compression_headers()]
        await super().send_headers(headers, end_stream)

    def _compression_headers(self) -> list[tuple[str, str]]:
        return [_ACCEPTED, _ENCODING] if self.announced else [_ACCEPTED]


def decompress(data: bytes) -> bytes:
    """Decompress gzip or deflate.

    Raises:
        GRPCError: the data has another format, is incomplete, or exceeds MAX_MESSAGE_BYTES.
    """
    if not data:
        return data  # .NET's GZipStream writes nothing for empty data, not even a gzip header (dotnet/runtime 66449)
    decompressor = zlib.decompressobj(_ANY_HEADER)
    try:
        message = decompressor.decompress(data, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise GRPCError(Status.INTERNAL, f"cannot decompress a message of {len(data)} bytes: {error}") from error
    if len(message) > MAX_MESSAGE_BYTES:
        raise _too_long(len(message))
    if not decompressor.eof:
        raise GRPCError(Status.INTERNAL, f"cannot decompress a message of {len(data)} bytes: it is incomplete")
    return message


def _too_long(length: int) -> GRPCError:
    return GRPCError(
        Status.RESOURCE_EXHAUSTED, f"a message has at least {length} bytes; the limit is {MAX_MESSAGE_BYTES}"
    )
