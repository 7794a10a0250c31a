"""grpclib's channel, over a Unix socket."""

import asyncio
import itertools
import weakref
from typing import cast

import grpclib.client
from grpclib.config import Configuration

from samehost_common import SocketAddress
from samehost_common.probe import PathState, path_state
from samehost_interop_grpclib.diagnosis import closed
from samehost_interop_grpclib.http2_client import ClientProtocol

_PAUSES = (0, 0, 0.1, 0.2, 0.4)
_LONGEST_PAUSE = 0.5
"""Seconds before the first attempts to connect, and before all later ones. An attempt costs the client microseconds and
the server nothing."""

_QUIET = Configuration(http2_connection_window_size=2**31 - 1)
"""A connection window that is never used up, so that the client sends no WINDOW_UPDATE for it.

A server on C-core that shuts down closes the connection as soon as it has sent its last answer. A write after that
fails with EPIPE, and asyncio then drops the answer, although it has arrived. The window of each call still limits what
the server sends."""


class Channel(grpclib.client.Channel):
    """Connect to the server on a Unix socket when a call starts, and again after the server has closed the connection.

    Args:
        address: the address of the server.
        wait_for_ready: wait for a server that has not started, until the deadline of the call. grpclib has no such
            option. A call fails at once if waiting cannot help, for example because the path is not a socket.
    """

    def __init__(self, address: SocketAddress, *, wait_for_ready: bool = False) -> None:
        super().__init__(path=str(address.path), config=_QUIET)
        self._address = address
        self._waits = wait_for_ready
        self._protocols: weakref.WeakSet[ClientProtocol] = weakref.WeakSet()

    def close(self) -> None:
        """Close the current connection, and older connections that still have calls in progress."""
        super().close()
        for protocol in list(self._protocols):
            protocol.processor.close()

    def _get_authority(self, host: str, port: int) -> str:
        # PROTOCOL.md requires `localhost`. For a path, grpclib sends 127.0.0.1:50051, its default host and port, and
        # has no option for it.
        del host, port
        return "localhost"

    def _protocol_factory(self) -> ClientProtocol:
        # grpclib has no option for the class that handles a connection, only this method.
        made = super()._protocol_factory()
        protocol = ClientProtocol(made.handler, made.config, made.h2_config)
        self._protocols.add(protocol)
        return protocol

    async def __connect__(self) -> ClientProtocol:
        """Return a connection on which a call can start at once. The deadline of the call limits the wait.

        Raises:
            OSError: no server accepts the connection, and waiting cannot help or is disabled.
        """
        for pause in itertools.chain(_PAUSES, itertools.repeat(_LONGEST_PAUSE)):
            if pause:
                await asyncio.sleep(pause)
            try:
                protocol = cast("ClientProtocol", await super().__connect__())
            except (FileNotFoundError, ConnectionRefusedError):
                # connect(2) also fails with ECONNREFUSED if the path is not a socket.
                if not self._waits or path_state(self._address) is PathState.NOT_A_SOCKET:
                    raise
                continue
            if await protocol.admits():
                return protocol
            if not self._waits and not protocol.settled:
                raise ConnectionResetError(f"cannot connect to {self._address.path}: {closed()}")
        raise AssertionError("the loop has no end")
