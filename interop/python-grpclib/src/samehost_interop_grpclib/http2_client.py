"""A client's end of a connection; http2.py says how it ends."""

import asyncio

from grpclib.exceptions import StreamTerminatedError
from h2.errors import ErrorCodes

from samehost_interop_grpclib.compression import MessageStream
from samehost_interop_grpclib.http2 import Protocol


class ClientStream(MessageStream):
    """A client's end of a call."""

    async def recv_data(self, size: int) -> bytes:
        """Receives; a call that ends within a message has a status all the same.

        Such a call is one whose server met the deadline while it was sending. grpclib asserts that there is none; the
        error that it is given here makes it look for the status in the trailers.
        """
        try:
            return await super().recv_data(size)
        except AssertionError as error:
            raise StreamTerminatedError("the call ended within a message") from error

    def reset_nowait(self, error_code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Breaks the call off with the error that says so (PROTOCOL-HTTP2.md, "Errors"); grpclib's is NO_ERROR."""
        super().reset_nowait(error_code)


class ClientProtocol(Protocol):
    """A client's end: it lets calls begin, in turn, for as long as its server takes them."""

    settled = False
    stream_type = ClientStream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        super().connection_made(transport)

    async def admits(self) -> bool:
        """Waits until a call may begin; False where it may not, as the connection is about to end or has ended.

        grpclib keeps to the server's limit too, but does not know it before the server's settings have come, and
        wakes all calls that wait whenever one ends: with a thousand of them that takes longer than the calls.
        """
        async with self._turn:
            while not self.leaving:
                room = len(self.processor.streams) < self.h2.remote_settings.max_concurrent_streams
                if self.settled and room and self.connection.write_ready.is_set():
                    return True
                self._changed.clear()
                await self._changed.wait()
            return False

    def on_settings(self) -> None:
        """The server's limit is known, or another one."""
        self.settled = True
        self._changed.set()

    def resume_writing(self) -> None:
        """What was written has gone."""
        super().resume_writing()
        self._changed.set()

    def on_release(self) -> None:
        """There is room for another call, or the last one has ended."""
        self._changed.set()
        if self.leaving and not self.processor.streams:
            self.transport.close()

    def on_goaway(self, last_stream: int) -> None:
        """Lets the calls that the server has seen end here; for the next one the channel dials anew."""
        self.handler.close()  # a channel of grpclib whose handler is closed dials anew
        for number, stream in list(self.processor.streams.items()):
            if number > last_stream:
                stream.__terminated__("the server was leaving and did not take the call")
        self._leave()

    def connection_lost(self, error: BaseException | None) -> None:
        """All is over."""
        super().connection_lost(error)
        self._leave()

    def _leave(self) -> None:
        self.leaving = True
        self.on_release()
