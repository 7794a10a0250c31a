"""The interface of the engines below a server. Each engine has its own module."""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import grpc

from samehost_common import SocketAddress
from samehost_common.engine import NATIVE, chosen_engine
from samehost_common.options import MOST_INT, check_number
from samehost_common.tls import Pems

AGE_OPTION = "grpc.max_connection_age_ms"


class Engine(Protocol):
    """Creates servers with the interfaces of grpc and makes them listen."""

    implementation: str
    """The name of the engine in the ready line."""
    version: str
    moved_within: float
    """The seconds after the removal of the path in which all clients move away, so that a stop loses no call."""

    def server(self, interceptors: Sequence[Any], workers: Any, most_workers: int) -> grpc.Server:
        """Creates a synchronous server."""

    def aio_server(self, interceptors: Sequence[Any]) -> grpc.aio.Server:
        """Creates an asyncio server."""

    def listen(self, server: Any, private: SocketAddress, path: os.PathLike[str]) -> None:
        """Binds the private address of a path and makes the server listen on it.

        Raises:
            BindError: the system cannot create the socket.
        """

    def renew_tls(self, pems: Pems) -> None:
        """Uses the content of changed TLS files for new connections. Called in any thread.

        Raises:
            OptionError: the engine cannot use them.
        """


def make_engine(
    name: str | None,
    *,
    max_connection_age: float | None,
    max_message_bytes: int,
    tls: Pems | grpc.ServerCredentials | None,
    options: Sequence[tuple[str, Any]],
) -> Engine:
    """Creates the engine of a server.

    Raises:
        OptionError: the engine is unknown, is not installed, or does not support an option.
    """
    if chosen_engine(name) == NATIVE:
        from samehost_server._native import NativeEngine  # noqa: PLC0415 - it may not be installed

        return NativeEngine(max_connection_age, max_message_bytes, tls, options)
    from samehost_server._grpcio import GrpcioEngine  # noqa: PLC0415

    return GrpcioEngine(max_connection_age, max_message_bytes, tls, options)


def age_milliseconds(max_connection_age: float) -> int:
    """Returns the channel argument of a connection age in seconds.

    Raises:
        OptionError: the age is out of range.
    """
    check_number("max_connection_age", max_connection_age, 0.001, MOST_INT / 1000)
    return int(max_connection_age * 1000)
