"""Serves gRPC over a Unix domain socket, and takes care of the socket's file from its birth to its end."""

from samehost_proto import AddressError, NotASocketError, SamehostError, SocketAddress
from samehost_server import aio
from samehost_server._server import Server
from samehost_server.errors import BindError, OptionError, ServiceError, SocketInUseError

__all__ = [
    "AddressError",
    "BindError",
    "NotASocketError",
    "OptionError",
    "SamehostError",
    "Server",
    "ServiceError",
    "SocketAddress",
    "SocketInUseError",
    "aio",
]
