"""Calls that send one after the other, where grpclib wakes all that wait whenever there is room for one frame.

With a thousand large calls at once, to wake them took longer than to send what they had.
"""

import asyncio
from typing import Any

from grpclib import protocol
from h2.events import WindowUpdated
from h2.exceptions import StreamClosedError

_PIECE_BYTES = 65536
"""What a call sends before it is the next one's turn: as much as asyncio takes before it asks the writer to wait."""


class Connection(protocol.Connection):
    """A connection that knows whose turn it is to send."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.turn = asyncio.Lock()
        self.sender: Stream | None = None


class Stream(protocol.Stream):
    """A call that sends when it is its turn, and as much as its own window lets it.

    So it never waits in its turn for its own peer to read, which would hold up the others, but only for what all
    wait for: the connection's window, and the transport.
    """

    connection: Connection

    async def send_data(self, data: bytes, end_stream: bool = False) -> None:
        """Sends data, which is not empty."""
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
    """Wakes those who wait for a window, and nobody else."""

    connection: Connection

    def process_window_updated(self, event: WindowUpdated) -> None:
        """A call's window has become larger, or the connection's, for which only the one whose turn it is waits."""
        if event.stream_id:
            super().process_window_updated(event)
        elif self.connection.sender is not None:
            self.connection.sender.window_updated.set()
