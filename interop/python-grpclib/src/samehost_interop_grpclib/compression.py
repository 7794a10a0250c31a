"""Compressed messages, which grpclib knows nothing of, below its methods and above HTTP/2.

grpclib refuses a message that came compressed and sends each one plain (vmagamedov/grpclib 199). But all that it
reads and writes goes through `grpclib.protocol.Stream`, where a message still has its five bytes of prefix: so
`MessageStream` undoes compression on the way in, and does it on the way out where it is asked to.
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
"""The longest message that is taken in, decompressed: gRPC's own default. grpclib itself has no limit."""

# grpc/grpc doc/PROTOCOL-HTTP2.md: "Length-Prefixed-Message → Compressed-Flag Message-Length Message".
_PREFIX = struct.Struct(">?I")

_ENCODING = ("grpc-encoding", "gzip")
_ACCEPTED = ("grpc-accept-encoding", "identity,deflate,gzip")

# zlib: the largest window, and a gzip header; or, to decompress, gzip or deflate as the header says.
_GZIP = zlib.MAX_WBITS + 16
_ANY_HEADER = zlib.MAX_WBITS + 32

_compressing: ContextVar[bool] = ContextVar("compressing", default=False)
_current: ContextVar["MessageStream"] = ContextVar("current")


@contextmanager
def compressing() -> Iterator[None]:
    """Calls that begin in this block announce gzip, and compress what they send until they are told otherwise."""
    token = _compressing.set(True)
    try:
        yield
    finally:
        _compressing.reset(token)


def current() -> "MessageStream":
    """The call at hand: in a handler the one that it answers, elsewhere the last one that this task has begun."""
    return _current.get()


class MessageStream(Stream):
    """One call's HTTP/2 stream, which says of messages whether they came compressed, and compresses them.

    Attributes:
        announced: whether this end says in its headers that its messages may be compressed. To be set before them.
        compress: whether the next message is sent compressed.
        compressed: whether the last message came compressed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.announced = self.compress = _compressing.get()
        self.compressed = False
        self._message: bytes | None = None
        # A task inherits the context in which it is made: on a server that of the handler, which is made next.
        _current.set(self)

    async def recv_data(self, size: int) -> bytes:
        """Gives grpclib.stream.recv_message first a prefix, then its message, as if it had come plain."""
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
        """Sends what grpclib.stream.send_message has made: a prefix that says "plain", and a message."""
        if self.compress:
            compressor = zlib.compressobj(wbits=_GZIP)
            message = compressor.compress(data[_PREFIX.size :]) + compressor.flush()
            data = _PREFIX.pack(True, len(message)) + message
        await super().send_data(data, end_stream=end_stream)

    async def send_request(
        self, headers: list[tuple[str, str]], end_stream: bool = False, *, _processor: EventsProcessor
    ) -> Any:
        """Sends a client's headers, with those about compression, which grpclib takes from nobody."""
        return await super().send_request([*headers, *self._about_compression()], end_stream, _processor=_processor)

    async def send_headers(self, headers: list[tuple[str, str]], end_stream: bool = False) -> None:
        """Sends a server's headers or trailers; headers begin with a status of HTTP."""
        if headers[0][0] == ":status":
            headers = [*headers, *self._about_compression()]
        await super().send_headers(headers, end_stream)

    def _about_compression(self) -> list[tuple[str, str]]:
        return [_ACCEPTED, _ENCODING] if self.announced else [_ACCEPTED]


def decompress(data: bytes) -> bytes:
    """Undoes gzip or deflate.

    Raises:
        GRPCError: the data is neither, is cut short, or is longer than a message may be.
    """
    if not data:
        return data  # .NET's GZipStream makes nothing of nothing, not even gzip's header (dotnet/runtime 66449)
    decompressor = zlib.decompressobj(_ANY_HEADER)
    try:
        message = decompressor.decompress(data, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise GRPCError(Status.INTERNAL, f"a compressed message of {len(data)} bytes is broken: {error}") from error
    if len(message) > MAX_MESSAGE_BYTES:
        raise _too_long(len(message))
    if not decompressor.eof:
        raise GRPCError(Status.INTERNAL, f"a compressed message of {len(data)} bytes is cut short")
    return message


def _too_long(length: int) -> GRPCError:
    return GRPCError(
        Status.RESOURCE_EXHAUSTED, f"a message has {length} bytes or more; the limit is {MAX_MESSAGE_BYTES}"
    )
