"""Closes connections without losing a call, below grpclib's channel and server.

A connection is closed gracefully in these steps (RFC 9113, section 6.8):

1. The server sends GOAWAY with the highest possible stream number, and a PING.
2. The client starts no more calls on this connection, and acknowledges the PING.
3. The server now knows every call of the connection. It answers them and closes.

grpclib uses h2, which treats the first GOAWAY that is sent or received as the end of the connection (python-hyper/h2
1181). grpclib then aborts the calls in progress (vmagamedov/grpclib 107, 148). This module therefore hides GOAWAY from
h2.

It replaces nothing of grpclib. It extends the classes of `grpclib.protocol`, and the channel of dial.py and the server
of server.py create a `Protocol` for each connection. The two sides are in http2_client.py and http2_server.py.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from grpclib import protocol
from grpclib.config import Configuration
from grpclib.utils import Wrapper
from h2.connection import H2Connection
from h2.events import PingAckReceived, RemoteSettingsChanged
from h2.settings import SettingCodes

from samehost_interop_grpclib import turns
from samehost_interop_grpclib.compression import MessageStream
from samehost_interop_grpclib.goaways import GoAways

MAX_CONCURRENT_CALLS = 1100
"""How many calls a connection may have at once. More calls wait in the client. With h2's limit of 100, a hundred calls
that never end would block all others."""

ECHO = b"goodbye!"
"""The data of the PING that a server sends when it closes a connection."""


class Connection(turns.Connection):
    """A connection whose calls support compression."""

    def __init__(
        self,
        connection: H2Connection,
        transport: asyncio.Transport,
        *,
        config: Configuration,
        kind: type[MessageStream],
    ) -> None:
        super().__init__(connection, transport, config=config)
        self._kind = kind

    def create_stream(self, *, stream_id: int | None = None, wrapper: Wrapper | None = None) -> MessageStream:
        """Create the stream of a new call."""
        return self._kind(self, self._connection, self._transport, stream_id=stream_id, wrapper=wrapper)


class Protocol(protocol.H2Protocol):
    """One side of a connection. `leaving` is true once no more calls may start on it."""

    leaving = False
    stream_type: type[MessageStream] = MessageStream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Do the work of H2Protocol with the limit of calls and the classes of this module."""
        self.transport = cast("asyncio.Transport", transport)
        self.h2 = H2Connection(self.h2_config)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(
            self.config.http2_connection_window_size - self.h2.local_settings.initial_window_size
        )
        self.h2.update_settings(
            {
                SettingCodes.INITIAL_WINDOW_SIZE: self.config.http2_stream_window_size,
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CONCURRENT_CALLS,
            }
        )
        connection = Connection(self.h2, self.transport, config=self.config, kind=self.stream_type)
        connection.flush()
        connection.initialize()
        self.connection = connection
        self.processor = self.make_processor(connection)
        self._goaways = GoAways(from_client=not self.h2_config.client_side)

    def make_processor(self, connection: Connection) -> "Processor":
        """Create the object that handles the events of the connection."""
        return Processor(self.handler, connection, self)

    def data_received(self, data: bytes) -> None:
        """Handle incoming data, without GOAWAY, and then each GOAWAY."""
        data, last_streams = self._goaways.take_from(data)
        super().data_received(data)
        for last_stream in last_streams:
            self.on_goaway(last_stream)

    def on_goaway(self, last_stream: int) -> None:
        """Handle a GOAWAY: the peer closes the connection and has seen no stream after `last_stream`."""

    def on_settings(self) -> None:
        """Handle the peer's settings when they arrive or change."""

    def on_echo(self) -> None:
        """Handle the acknowledgement of the PING: the peer has seen everything that was sent before it."""

    def on_release(self) -> None:
        """Handle the end of a call."""


class Processor(turns.Processor):
    """Notify a Protocol of the events on its connection."""

    def __init__(self, handler: protocol.AbstractHandler, connection: Connection, owner: Protocol) -> None:
        super().__init__(handler, connection)
        self._owner = owner

    def register(self, stream: protocol.Stream) -> Callable[[], None]:
        """Register a call. Call the result when the call has ended; further calls do nothing."""
        release = super().register(stream)

        def release_once() -> None:
            if stream.id in self.streams:
                release()
                self._owner.on_release()

        return release_once

    def process_remote_settings_changed(self, event: RemoteSettingsChanged) -> None:
        """Pass new settings of the peer on."""
        super().process_remote_settings_changed(event)
        self._owner.on_settings()

    def process_ping_ack_received(self, event: PingAckReceived) -> None:
        """Pass the acknowledgement of the server's PING on."""
        super().process_ping_ack_received(event)
        if event.ping_data == ECHO:
            self._owner.on_echo()
