"""Connections that end without losing a call, below grpclib's channel and server.

Two ends of a connection part in peace like this (RFC 9113, 6.8): the server says GOAWAY, naming the highest number
that a stream can have, and asks for an echo; the client begins no more calls here, and echoes; so the server has
seen every call that there will be, answers them, and closes. But h2, on which grpclib stands, takes the first GOAWAY
for the end of everything, sent or received (python-hyper/h2 1181), and grpclib breaks off the calls in progress
(vmagamedov/grpclib 107, 148). So GOAWAY is kept from h2 here.

Nothing of grpclib is replaced: the classes of `grpclib.protocol` are extended, and a `Protocol` is what the channel
of dial.py and the server of server.py make for each connection. The two ends are in http2_client.py and
http2_server.py.
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
"""How many calls a connection may have at once; others wait at the client. h2's own limit is 100, with which as many
calls that never end would starve all others."""

ECHO = b"goodbye!"
"""What the server asks the client to echo."""


class Connection(turns.Connection):
    """A connection whose calls know compression."""

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
        """Makes the stream of a new call."""
        return self._kind(self, self._connection, self._transport, stream_id=stream_id, wrapper=wrapper)


class Protocol(protocol.H2Protocol):
    """One end of a connection; `leaving` once no more calls are to begin on it."""

    leaving = False
    stream_type: type[MessageStream] = MessageStream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Does what H2Protocol does, with a limit of calls that is not h2's, and with the classes of this module."""
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
        """Makes what is told of all that comes over the connection."""
        return Processor(self.handler, connection, self)

    def data_received(self, data: bytes) -> None:
        """Takes in what came, and sees to GOAWAY itself."""
        data, last_streams = self._goaways.take_from(data)
        super().data_received(data)
        for last_stream in last_streams:
            self.on_goaway(last_stream)

    def on_goaway(self, last_stream: int) -> None:
        """The peer is leaving, and has seen no stream after this one."""

    def on_settings(self) -> None:
        """The peer's settings have come, or changed."""

    def on_echo(self) -> None:
        """The peer has seen the request for an echo, and all that was sent before."""

    def on_release(self) -> None:
        """A call has ended."""


class Processor(turns.Processor):
    """Tells a Protocol what happens on its connection."""

    def __init__(self, handler: protocol.AbstractHandler, connection: Connection, owner: Protocol) -> None:
        super().__init__(handler, connection)
        self._owner = owner

    def register(self, stream: protocol.Stream) -> Callable[[], None]:
        """Takes note of a call; what it returns is called when the call has ended, and may be called again."""
        release = super().register(stream)

        def release_once() -> None:
            if stream.id in self.streams:
                release()
                self._owner.on_release()

        return release_once

    def process_remote_settings_changed(self, event: RemoteSettingsChanged) -> None:
        """The peer's settings have come, or changed."""
        super().process_remote_settings_changed(event)
        self._owner.on_settings()

    def process_ping_ack_received(self, event: PingAckReceived) -> None:
        """An echo has come."""
        super().process_ping_ack_received(event)
        if event.ping_data == ECHO:
            self._owner.on_echo()
