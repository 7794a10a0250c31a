"""Serves gRPC over a Unix domain socket, and takes care of the socket's file from its birth to its end."""

from typing import TYPE_CHECKING

from samehost_common import AddressError, NotASocketError, OptionError, SamehostError, SocketAddress
from samehost_server.errors import BindError, RemovedError, ServiceError, SocketInUseError, StateError

if TYPE_CHECKING:
    from samehost_server import aio
    from samehost_server._server import Server
else:
    # What imports grpc is imported when it is asked for, so that a program can be tuned before.
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
