"""Lets calls send one after the other.

grpclib wakes all waiting calls whenever there is room for one frame. With a thousand large calls at once, waking them
took longer than sending their data.
"""

import asyncio
from typing import Any

from grpclib import protocol
from h2.events import WindowUpdated
from h2.exceptions import StreamClosedError

_PIECE_BYTES = 65536
"""How much a call sends in one turn: as much as asyncio buffers before it pauses the writer."""


class Connection(protocol.Connection):
    """A connection with the call whose turn it is to send."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.turn = asyncio.Lock()
        self.sender: Stream | None = None


class Stream(protocol.Stream):
    """A call that sends in its turn, and only as much as its own window allows.

    In its turn it therefore never waits for its own peer to read, which would block the other calls. It waits only for
    the window of the connection and for the transport, which all calls share.
    """

    connection: Connection

    async def send_data(self, data: bytes, end_stream: bool = False) -> None:
        """Send data, which must not be empty."""
        at = 0
        while at < len(data):
            async with self.connection.turn:
                piece = data[at : at + min(self._window(), _PIECE_BYTES)]
                at += len(piece)
                if piece:
                    self.connection.sender = self
                    await super().send_data(piece, end_stream=end_stream and at == len(data))
            if not piece:
                self.window_updated.clear()
                await self.window_updated.wait()

    def _window(self) -> int:
        stream = self._h2_connection.streams.get(self.id or 0)
        if stream is None:
            raise StreamClosedError(self.id or 0)
        return max(0, stream.outbound_flow_control_window)  # it can become negative (RFC 9113, 6.9.2)


class Processor(protocol.EventsProcessor):
    """Wake only the calls that wait for the window that changed."""

    connection: Connection

    def process_window_updated(self, event: WindowUpdated) -> None:
        """Wake the call of the window. Only the call that is sending waits for the window of the connection."""
        if event.stream_id:
            super().process_window_updated(event)
        elif self.connection.sender is not None:
            self.connection.sender.window_updated.set()
