"""Calls gRPC over a Unix domain socket, and says in one line what keeps a call from its server."""

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
    # What imports grpc is imported when it is asked for, so that a program can be tuned before.
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
