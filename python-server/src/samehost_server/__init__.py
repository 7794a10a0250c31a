"""Serves gRPC over a Unix domain socket and manages the socket file: lock, mode, replacement and removal."""

from typing import TYPE_CHECKING

from samehost_common import AddressError, NotASocketError, OptionError, SamehostError, SocketAddress
from samehost_server.errors import BindError, RemovedError, ServiceError, SocketInUseError, StateError

if TYPE_CHECKING:
    from samehost_server import aio
    from samehost_server._server import Server
else:
    # These import grpc, so they are imported at their first use: a program has to call tune() before.
    from samehost_common.lazily import attributes

    __getattr__ = attributes({"Server": "samehost_server._server", "aio": "samehost_server.aio"})

__all__ = [
    "AddressError",
    "BindError",
    "NotASocketError",
    "OptionError",
    "RemovedError",
    "SamehostError",
    "Server",
    "ServiceError",
    "SocketAddress",
    "SocketInUseError",
    "StateError",
    "aio",
]
