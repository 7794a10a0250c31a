"""The server side of a connection. http2.py describes how a connection is closed."""

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
    """The server side of a call."""

    async def send_headers(self, headers: list[tuple[str, str]], end_stream: bool = False) -> None:
        """Send headers, which start with an HTTP status, or trailers.

        grpclib leaves the content type out of the answer to an unknown method. A client may then reject the answer as
        not gRPC (PROTOCOL-HTTP2.md, "Responses"), and grpc-go does.
        """
        if headers[0][0] == ":status" and "content-type" not in dict(headers):
            headers = [*headers, ("content-type", "application/grpc")]
        await super().send_headers(headers, end_stream)


class ServerProcessor(Processor):
    """Handle the start and the end of calls."""

    def __init__(self, handler: protocol.AbstractHandler, connection: Connection, owner: "ServerProtocol") -> None:
        super().__init__(handler, connection, owner)
        self._server = owner

    def process_request_received(self, event: RequestReceived) -> None:
        """Start a call. Ignore it after `last_stream`, because its client retries it on another connection."""
        if event.stream_id <= self._server.last_stream:
            event.headers = _with_time_to_begin(event.headers)
            super().process_request_received(event)

    def process_stream_reset(self, event: StreamReset) -> None:
        """Abort a call on behalf of its client, and release its stream.

        If the start and the abort of a call arrive together, grpclib cancels the handler before it runs and never
        releases the stream. A stopping server would wait for it.
        """
        stream = self.streams.get(event.stream_id)
        super().process_stream_reset(event)
        if stream is not None:
            self.register(stream)()


def _with_time_to_begin(headers: Any) -> Any:
    """Return the headers of a call with a timeout that is long enough for the handler to start.

    If the timeout is over before the handler starts, grpclib answers UNKNOWN and logs a stack trace, where
    DEADLINE_EXCEEDED is correct.
    """
    # h2 declares headers as bytes, but grpclib configures it to return text.
    return [(key, _long_enough(value) if key == "grpc-timeout" else value) for key, value in headers]


def _long_enough(timeout: str) -> str:
    with contextlib.suppress(ValueError):  # grpclib rejects an invalid timeout itself
        if decode_timeout(timeout) < decode_timeout(_SHORTEST_TIMEOUT):
            return _SHORTEST_TIMEOUT
    return timeout


class ServerProtocol(Protocol):
    """The server side of a connection, which it can close gracefully."""

    LINGER = 1.0
    """Seconds that a client has to acknowledge the PING, and then to close after its last call. A client that is not
    blocked takes milliseconds."""

    stream_type = ServerStream

    last_stream = _EVERY_STREAM
    """The last stream on which a call is accepted."""

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
        """Create the object that handles the events of the connection."""
        return ServerProcessor(self.handler, connection, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create `closed`, do the common work, and report the connection to the server."""
        self.closed = asyncio.get_running_loop().create_future()
        super().connection_made(transport)
        self._on_made(self)

    def part(self) -> None:
        """Close the connection gracefully. `closed` is done after the last call has ended."""
        if self.leaving or self.transport.is_closing():
            return
        self.leaving = True
        self._send_goaway()
        self.h2.ping(ECHO)
        self.connection.flush()
        asyncio.get_running_loop().call_later(self.LINGER, self.on_echo)

    def on_echo(self) -> None:
        """Accept no more calls: every call that the client started arrived before the acknowledgement."""
        if not self._echoed and not self.transport.is_closing():
            self._echoed = True
            self.last_stream = self.h2.highest_inbound_stream_id
            self._send_goaway()
            self.on_release()

    def on_release(self) -> None:
        """Close the sending direction after the last call, and keep the other one open for writes of the client.

        If both were closed, a write of the client would fail with EPIPE, and C-core would drop the answer that it has
        not read yet. A client that has read everything closes the connection itself.
        """
        if self._echoed and not self.processor.streams and not self.transport.is_closing():
            self._hung_up = True
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(self.LINGER, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Handle incoming data, unless the sending direction is closed and no answer is possible."""
        if not self._hung_up:
            super().data_received(data)

    def connection_lost(self, error: BaseException | None) -> None:
        """Set `closed`."""
        super().connection_lost(error)
        if not self.closed.done():
            self.closed.set_result(None)

    def _send_goaway(self) -> None:
        frame = GoAwayFrame(0, last_stream_id=self.last_stream, error_code=ErrorCodes.NO_ERROR)
        self.transport.write(frame.serialize())
