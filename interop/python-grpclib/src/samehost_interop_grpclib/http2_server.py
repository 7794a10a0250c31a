"""A server's end of a connection; http2.py says how it ends."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from grpclib import protocol
from grpclib.config import Configuration
from grpclib.metadata import decode_timeout
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamReset
from hyperframe.frame import GoAwayFrame

from samehost_interop_grpclib.compression import MessageStream
from samehost_interop_grpclib.http2 import ECHO, Connection, Processor, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY_STREAM = 2**31 - 1
_SHORTEST_TIMEOUT = "10m"


class ServerStream(MessageStream):
    """A server's end of a call."""

    async def send_headers(self, headers: list[tuple[str, str]], end_stream: bool = False) -> None:
        """Sends headers, which begin with a status of HTTP, or trailers.

        Where grpclib answers that there is no such method it leaves the content type out, and a client then need not
        take the answer for one of gRPC's (PROTOCOL-HTTP2.md, "Responses"): grpc-go does not.
        """
        if headers[0][0] == ":status" and "content-type" not in dict(headers):
            headers = [*headers, ("content-type", "application/grpc")]
        await super().send_headers(headers, end_stream)


class ServerProcessor(Processor):
    """Lets calls come in, and go."""

    def __init__(self, handler: protocol.AbstractHandler, connection: Connection, owner: "ServerProtocol") -> None:
        super().__init__(handler, connection, owner)
        self._server = owner

    def process_request_received(self, event: RequestReceived) -> None:
        """A call begins, unless it comes after the last one that is taken: its client makes it elsewhere then."""
        if event.stream_id <= self._server.last_stream:
            event.headers = _with_time_to_begin(event.headers)
            super().process_request_received(event)

    def process_stream_reset(self, event: StreamReset) -> None:
        """A client breaks a call off.

        If that comes in one piece with the beginning of the call, grpclib cancels its handler before it has run at
        all, and then nobody releases the stream, for whose end a server that is leaving would wait.
        """
        stream = self.streams.get(event.stream_id)
        super().process_stream_reset(event)
        if stream is not None:
            self.register(stream)()


def _with_time_to_begin(headers: Any) -> Any:
    """The headers of a call, with a timeout that is not over before the handler begins.

    To such a call grpclib answers UNKNOWN, with a stack trace in the log, where DEADLINE_EXCEEDED is meant.
    """
    # h2's types say that headers are bytes; grpclib has h2 make texts of them.
    return [(key, _long_enough(value) if key == "grpc-timeout" else value) for key, value in headers]


def _long_enough(timeout: str) -> str:
    with contextlib.suppress(ValueError):  # which grpclib refuses itself
        if decode_timeout(timeout) < decode_timeout(_SHORTEST_TIMEOUT):
            return _SHORTEST_TIMEOUT
    return timeout


class ServerProtocol(Protocol):
    """A server's end: it can part from its client."""

    LINGER = 1.0
    """Seconds that a client has to echo, and then to hang up after its last call; it takes one that lives
    milliseconds."""

    stream_type = ServerStream

    last_stream = _EVERY_STREAM
    """The last call that is taken."""

    _echoed = False
    _hung_up = False

    def __init__(
        self,
        handler: protocol.AbstractHandler,
        config: Configuration,
        h2_config: H2Configuration,
        on_made: "Callable[[ServerProtocol], None]",
    ) -> None:
        super().__init__(handler, config, h2_config)
        self._on_made = on_made

    def make_processor(self, connection: Connection) -> Processor:
        """Makes a server's."""
        return ServerProcessor(self.handler, connection, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self.closed = asyncio.get_running_loop().create_future()
        super().connection_made(transport)
        self._on_made(self)

    def part(self) -> None:
        """Sends the client elsewhere; `closed` is done when the last of its calls here has ended."""
        if self.leaving or self.transport.is_closing():
            return
        self.leaving = True
        self._say_goaway()
        self.h2.ping(ECHO)
        self.connection.flush()
        asyncio.get_running_loop().call_later(self.LINGER, self.on_echo)

    def on_echo(self) -> None:
        """Every call that the client has begun here is known now, as it came before the echo."""
        if not self._echoed and not self.transport.is_closing():
            self._echoed = True
            self.last_stream = self.h2.highest_inbound_stream_id
            self._say_goaway()
            self.on_release()

    def on_release(self) -> None:
        """Hangs up if that was the last call, but leaves the other direction open, for the client may be writing.

        If that were closed too, its write would fail with EPIPE, and C-core would give up the answer that it has
        not read yet. A client that has read all closes its own end.
        """
        if self._echoed and not self.processor.streams and not self.transport.is_closing():
            self._hung_up = True
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(self.LINGER, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Takes in what came; nothing can be answered after hanging up."""
        if not self._hung_up:
            super().data_received(data)

    def connection_lost(self, error: BaseException | None) -> None:
        """All is over."""
        super().connection_lost(error)
        if not self.closed.done():
            self.closed.set_result(None)

    def _say_goaway(self) -> None:
        frame = GoAwayFrame(0, last_stream_id=self.last_stream, error_code=ErrorCodes.NO_ERROR)
        self.transport.write(frame.serialize())
