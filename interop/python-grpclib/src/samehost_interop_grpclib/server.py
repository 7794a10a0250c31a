"""grpclib's server, which can be stopped without losing a call."""

import asyncio
import contextlib
import select
import socket
from typing import TYPE_CHECKING

import grpclib.server

from samehost_interop_grpclib.http2_server import ServerProtocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from grpclib._typing import IServable

    from samehost_common import SocketAddress

_TURNS_TO_ACCEPT = 3
"""asyncio takes a client from the queue in one turn of its loop, and lets its protocol begin two turns later."""


class Server(grpclib.server.Server):
    """Serves on a socket: `serve`, `drain`, `stop`."""

    def __init__(self, services: "Collection[IServable]") -> None:
        super().__init__(services)
        self._connections: set[ServerProtocol] = set()
        self._draining = False

    async def serve(self, address: "SocketAddress") -> None:
        """Binds a socket and begins to serve.

        The queue of clients is as long as the system allows. Over a socket it matters: when it is full, connecting
        does not wait, as it does over TCP, but fails with EAGAIN (unix(7)). grpclib's default is 100.
        """
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address.path))
        await self.start(sock=self._listener, backlog=socket.SOMAXCONN)

    async def drain(self, grace: float) -> None:
        """Sends all clients elsewhere and waits until their calls have ended, for at most `grace` seconds.

        `Server.close` alone cancels the calls in progress (vmagamedov/grpclib 148). Clients that have connected and
        wait in the queue are let in first: their calls may have been sent already.
        """
        self._draining = True
        for connection in self._connections:
            connection.part()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._let_in_the_queue()
                while self._connections:
                    await asyncio.wait([connection.closed for connection in self._connections])

    async def stop(self) -> None:
        """Stops, and cuts what is still in progress."""
        self.close()
        for connection in self._connections:
            connection.transport.abort()
        await self.wait_closed()

    async def _let_in_the_queue(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        quiet = 0
        while quiet < _TURNS_TO_ACCEPT:
            quiet = 0 if poll.poll(0) else quiet + 1
            await asyncio.sleep(0)

    def _take_in(self, connection: ServerProtocol) -> None:
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        if self._draining:
            connection.part()

    def _protocol_factory(self) -> ServerProtocol:
        # grpclib has no option for the class that handles a connection, only this method which makes one; what it
        # has set up is taken from the one that it made.
        made = super()._protocol_factory()
        return ServerProtocol(made.handler, made.config, made.h2_config, self._take_in)
