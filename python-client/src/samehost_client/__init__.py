"""Calls gRPC servers over a Unix domain socket, and explains in one line why a call failed."""

from typing import TYPE_CHECKING

from samehost_client.errors import (
    CallError,
    CertificateError,
    ConnectError,
    NoSocketError,
    NotReadyError,
    SocketPermissionError,
    StaleSocketError,
    TlsRequiredError,
    WrongProtocolError,
)
from samehost_common import AddressError, NotASocketError, OptionError, SamehostError, SocketAddress

if TYPE_CHECKING:
    from samehost_client import aio
    from samehost_client._channel import connect
    from samehost_client.diagnosis import diagnose, explain
else:
    # These import grpc, so they are imported at their first use: a program has to call tune() before.
    from samehost_common.lazily import attributes

    __getattr__ = attributes(
        {
            "aio": "samehost_client.aio",
            "connect": "samehost_client._channel",
            "diagnose": "samehost_client.diagnosis",
            "explain": "samehost_client.diagnosis",
        }
    )

__all__ = [
    "AddressError",
    "CallError",
    "CertificateError",
    "ConnectError",
    "NoSocketError",
    "NotASocketError",
    "NotReadyError",
    "OptionError",
    "SamehostError",
    "SocketAddress",
    "SocketPermissionError",
    "StaleSocketError",
    "TlsRequiredError",
    "WrongProtocolError",
    "aio",
    "connect",
    "diagnose",
    "explain",
]
