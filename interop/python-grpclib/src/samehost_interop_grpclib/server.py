"""Extends grpclib's server so that it stops without losing a call."""

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
"""asyncio accepts a client in one iteration of its loop, and starts its protocol two iterations later."""


class Server(grpclib.server.Server):
    """A server on a Unix socket. Call `serve`, `drain` and `stop` in this order."""

    def __init__(self, services: "Collection[IServable]") -> None:
        super().__init__(services)
        self._connections: set[ServerProtocol] = set()
        self._draining = False

    async def serve(self, address: "SocketAddress") -> None:
        """Bind a socket and start to serve.

        The queue of clients is as long as the system allows; grpclib's default is 100. When the queue of a Unix socket
        is full, connecting fails with EAGAIN instead of waiting as it does with TCP (unix(7)).
        """
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address.path))
        await self.start(sock=self._listener, backlog=socket.SOMAXCONN)

    async def drain(self, grace: float) -> None:
        """Close all connections gracefully and wait for their calls, for at most `grace` seconds.

        `Server.close` alone cancels the calls in progress (vmagamedov/grpclib 148). Clients that wait in the queue are
        accepted first, because they may already have sent calls.
        """
        self._draining = True
        for connection in self._connections:
            connection.part()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._accept_queued_clients()
                while self._connections:
                    await asyncio.wait([connection.closed for connection in self._connections])

    async def stop(self) -> None:
        """Stop, and abort the calls that are still in progress."""
        self.close()
        for connection in self._connections:
            connection.transport.abort()
        await self.wait_closed()

    async def _accept_queued_clients(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        quiet = 0
        while quiet < _TURNS_TO_ACCEPT:
            quiet = 0 if poll.poll(0) else quiet + 1
            await asyncio.sleep(0)

    def _add(self, connection: ServerProtocol) -> None:
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        if self._draining:
            connection.part()

    def _protocol_factory(self) -> ServerProtocol:
        # grpclib has no option for the class that handles a connection, only this method. The object that it creates
        # has the configuration.
        made = super()._protocol_factory()
        return ServerProtocol(made.handler, made.config, made.h2_config, self._add)
