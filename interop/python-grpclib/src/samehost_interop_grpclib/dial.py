"""grpclib's channel, over a Unix socket."""

import asyncio
import itertools
import socket
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import grpclib.client

from samehost_common import SocketAddress
from samehost_common.probe import PathState, path_state
from samehost_interop_grpclib.diagnosis import closed
from samehost_interop_grpclib.http2_client import ClientProtocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PAUSES = (0, 0, 0.1, 0.2, 0.4)
_LONGEST_PAUSE = 0.5
"""Seconds before the first attempts to connect, and before all later ones. An attempt costs the client microseconds and
the server nothing."""


class _Socket(socket.socket):
    """A socket whose answers can be read to the end after the server closes it.

    A server that drains closes a connection after its last answer, while the client may still send a call or a
    WINDOW_UPDATE. That write fails although answers wait to be read, and asyncio then drops them. So such a write
    reports success. Reading continues to the end of the connection, which fails every call without an answer.
    """

    def send(self, data: "Buffer", flags: int = 0, /) -> int:
        try:
            return super().send(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            return memoryview(data).nbytes

    def sendmsg(self, buffers: Iterable["Buffer"], /, *rest: Any) -> int:  # asyncio calls it since Python 3.12
        buffers = list(buffers)
        try:
            return super().sendmsg(buffers, *rest)
        except (BrokenPipeError, ConnectionResetError):
            return sum(memoryview(data).nbytes for data in buffers)


class Channel(grpclib.client.Channel):
    """Connect to the server on a Unix socket when a call starts, and again after the server has closed the connection.

    Args:
        address: the address of the server.
        wait_for_ready: wait for a server that has not started, until the deadline of the call. grpclib has no such
            option. A call fails at once if waiting cannot help, for example because the path is not a socket.
    """

    def __init__(self, address: SocketAddress, *, wait_for_ready: bool = False) -> None:
        super().__init__(path=str(address.path))
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

    async def _create_connection(self) -> ClientProtocol:
        connection = _Socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, str(self._address.path))
            _, protocol = await loop.create_unix_connection(self._protocol_factory, sock=connection)
        except BaseException:
            connection.close()
            raise
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
