"""grpclib's channel, over a Unix socket."""

import asyncio
import itertools
import weakref
from typing import cast

import grpclib.client
from grpclib.config import Configuration

from samehost_common import SocketAddress
from samehost_common.probe import PathState, path_state
from samehost_interop_grpclib.http2_client import ClientProtocol

_PAUSES = (0, 0, 0.1, 0.2, 0.4)
_LONGEST_PAUSE = 0.5
"""Seconds before each attempt to connect, the first ones and then all others: dialling a socket costs a client
microseconds and the server nothing."""

_QUIET = Configuration(http2_connection_window_size=2**31 - 1)
"""A window for all calls together that is never used up, so that nothing is written to widen it again.

A server on C-core closes a connection that it has been leaving as soon as it has sent the last answer. Whatever is
written then fails with EPIPE, and asyncio drops the answer, although it is there to be read. What calls may send is
still bounded, by the window of each."""


class Channel(grpclib.client.Channel):
    """A channel to the server at a socket. It dials when a call is made, and anew when its server has left.

    Args:
        address: where the server listens.
        wait_for_ready: whether calls wait, until their deadline, for a server that is not there yet. grpclib itself
            has no such thing. Where waiting can't help, as when the path is no socket, a call fails at once.
    """

    def __init__(self, address: SocketAddress, *, wait_for_ready: bool = False) -> None:
        super().__init__(path=str(address.path), config=_QUIET)
        self._address = address
        self._waits = wait_for_ready
        self._protocols: weakref.WeakSet[ClientProtocol] = weakref.WeakSet()

    def close(self) -> None:
        """Closes the connection, and those on which only calls go on that began earlier."""
        super().close()
        for protocol in list(self._protocols):
            protocol.processor.close()

    def _get_authority(self, host: str, port: int) -> str:
        # For a path, grpclib sends the defaults of the host and port that it refuses beside one, 127.0.0.1:50051,
        # and no option sets it. PROTOCOL.md says `localhost`.
        del host, port
        return "localhost"

    def _protocol_factory(self) -> ClientProtocol:
        # As in server.py: grpclib has no option for the class that handles a connection, only this method.
        made = super()._protocol_factory()
        protocol = ClientProtocol(made.handler, made.config, made.h2_config)
        self._protocols.add(protocol)
        return protocol

    async def __connect__(self) -> ClientProtocol:
        """Gives the connection on which a call begins at once; the deadline of the call ends the waiting.

        Raises:
            OSError: no server takes the connection, and waiting would not help or is not wanted.
        """
        for pause in itertools.chain(_PAUSES, itertools.repeat(_LONGEST_PAUSE)):
            if pause:
                await asyncio.sleep(pause)
            try:
                protocol = cast("ClientProtocol", await super().__connect__())
            except (FileNotFoundError, ConnectionRefusedError):
                # A path that is no socket is "refused" too.
                if not self._waits or path_state(self._address) is PathState.NOT_A_SOCKET:
                    raise
                continue
            if await protocol.admits():
                return protocol
            if not self._waits and not protocol.settled:
                raise ConnectionResetError(f"what listens on {self._address.path} hung up before it said anything")
        raise AssertionError("the pauses have no end")
