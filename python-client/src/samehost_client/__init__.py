"""Calls gRPC over a Unix domain socket, and says in one line what keeps a call from its server."""

from samehost_client import aio
from samehost_client._channel import connect
from samehost_client.diagnosis import diagnose, explain
from samehost_client.errors import (
    CallError,
    ConnectError,
    NoSocketError,
    NotReadyError,
    SocketPermissionError,
    StaleSocketError,
    WrongProtocolError,
)
from samehost_proto import AddressError, NotASocketError, SamehostError, SocketAddress

__all__ = [
    "AddressError",
    "CallError",
    "ConnectError",
    "NoSocketError",
    "NotASocketError",
    "NotReadyError",
    "SamehostError",
    "SocketAddress",
    "SocketPermissionError",
    "StaleSocketError",
    "WrongProtocolError",
    "aio",
    "connect",
    "diagnose",
    "explain",
]
