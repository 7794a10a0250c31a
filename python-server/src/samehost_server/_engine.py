"""What a server needs of the engine below it; there is one module for each engine."""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import grpc

from samehost_common import SocketAddress
from samehost_common.engine import NATIVE, chosen_engine


class Engine(Protocol):
    """Makes the servers of grpc's own classes, and lets them listen."""

    implementation: str
    """Its name for the ready line."""
    version: str
    moved_within: float
    """Seconds in which clients move away when the path is gone, so that a stop loses no call."""

    def server(self, interceptors: Sequence[Any], workers: Any, most_workers: int) -> grpc.Server:
        """Makes a synchronous server."""

    def aio_server(self, interceptors: Sequence[Any]) -> grpc.aio.Server:
        """Makes an asyncio server."""

    def listen(self, server: Any, private: SocketAddress, path: os.PathLike[str]) -> None:
        """Binds the private address of a path and lets the server listen on it.

        Raises:
            BindError: the system refuses the socket.
        """


def make_engine(
    name: str | None,
    *,
    max_connection_age: float | None,
    max_message_bytes: int,
    credentials: grpc.ServerCredentials | None,
    options: Sequence[tuple[str, Any]],
) -> Engine:
    """Makes the engine that is chosen, with the options of a server.

    Raises:
        OptionError: there is no such engine, it is not installed, or does not have an option.
    """
    if chosen_engine(name) == NATIVE:
        from samehost_server._native import NativeEngine  # noqa: PLC0415 - it may not be installed

        return NativeEngine(max_connection_age, max_message_bytes, credentials, options)
    from samehost_server._grpcio import GrpcioEngine  # noqa: PLC0415

    return GrpcioEngine(max_connection_age, max_message_bytes, credentials, options)
