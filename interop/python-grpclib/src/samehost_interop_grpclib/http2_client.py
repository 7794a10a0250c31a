"""The client side of a connection. http2.py describes how a connection is closed."""

import asyncio

from grpclib.exceptions import StreamTerminatedError
from h2.errors import ErrorCodes

from samehost_interop_grpclib.compression import MessageStream
from samehost_interop_grpclib.http2 import Protocol


class ClientStream(MessageStream):
    """The client side of a call."""

    async def recv_data(self, size: int) -> bytes:
        """Receive data, and keep the status of a call that ends within a message.

        A call ends like this if its deadline passes while the server sends a message. grpclib raises AssertionError
        then. The error that is raised here makes grpclib read the status from the trailers.
        """
        try:
            return await super().recv_data(size)
        except AssertionError as error:
            raise StreamTerminatedError("the call ended within a message") from error

    def reset_nowait(self, error_code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Abort the call with CANCEL, as PROTOCOL-HTTP2.md requires under "Errors". grpclib sends NO_ERROR."""
        super().reset_nowait(error_code)


class ClientProtocol(Protocol):
    """The client side of a connection. It starts calls one at a time while the server accepts them."""

    settled = False
    stream_type = ClientStream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the synchronization objects, then do the common work."""
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        super().connection_made(transport)

    async def admits(self) -> bool:
        """Wait until a call may start, and return True; return False if the connection is closing or closed.

        grpclib also respects the server's limit of calls, but not before the server's settings have arrived. And
        whenever a call ends, it wakes all calls that wait. With a thousand calls, this takes longer than the calls.
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
        """Let calls start, or apply a new limit of calls."""
        self.settled = True
        self._changed.set()

    def resume_writing(self) -> None:
        """Let calls start again after the transport has sent its buffer."""
        super().resume_writing()
        self._changed.set()

    def on_release(self) -> None:
        """Let the next call start. Close the connection after the last call if it is leaving."""
        self._changed.set()
        if self.leaving and not self.processor.streams:
            self.transport.close()

    def on_goaway(self, last_stream: int) -> None:
        """Let the calls that the server has seen finish, and fail the others. New calls use a new connection."""
        self.handler.close()  # makes grpclib's channel open a new connection
        for number, stream in list(self.processor.streams.items()):
            if number > last_stream:
                stream.__terminated__("the server closed the connection before it accepted the call")
        self._leave()

    def connection_lost(self, error: BaseException | None) -> None:
        """Wake the calls that wait to start."""
        super().connection_lost(error)
        self._leave()

    def _leave(self) -> None:
        self.leaving = True
        self.on_release()
