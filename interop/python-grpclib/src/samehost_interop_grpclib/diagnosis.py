"""Explains why a call failed, in one line with the remedy. The texts are those of interop/messages.toml."""

import socket

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost_common import SamehostError, SocketAddress
from samehost_common.probe import PathState, describe_permissions, path_state

_HANDSHAKE_SECONDS = 1.0
"""How long a server may take to send its first frame. On one machine it takes less than a millisecond."""

# The client's preface with an empty SETTINGS frame, and the position of the type in a frame's header (RFC 9113,
# sections 3.4 and 4.1).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HEADER_BYTES = 9
_TYPE_OFFSET = 3
_SETTINGS = 4


def explain(error: GRPCError, address: SocketAddress) -> SamehostError:
    """Explain a failed call: the server cannot be reached, or it returned a status."""
    details = error.message or "no details"
    if error.status is Status.UNAVAILABLE and (reason := diagnose(address)):
        return reason
    if error.status is Status.DEADLINE_EXCEEDED:
        return diagnose(address) or SamehostError(
            f"no answer from {address} before the deadline: {details}; "
            f"use a longer timeout, or check that the server is not blocked"
        )
    return SamehostError(f"{address} answered {error.status.name}: {details}")


def diagnose(address: SocketAddress) -> SamehostError | None:
    """Find out why no gRPC server can be reached; return None if one answers.

    Examines the path and connects to it. Takes at most 1 s.
    """
    reason = _fault(address)
    return SamehostError(f"cannot connect to {address.path}: {reason}") if reason else None


def closed(reason: str = "") -> str:
    """Describe a server that closes the connection before it sends a frame."""
    return f"the server closed the connection{reason}; check that it is a gRPC server"


def _fault(address: SocketAddress) -> str | None:
    folder = address.path.parent
    match path_state(address):
        case PathState.ABSENT if not folder.is_dir():
            return f"the folder {folder} does not exist; check the path or mount it"
        case PathState.ABSENT:
            return "no socket exists there; start the server, or mount the folder that it uses"
        case PathState.STALE:
            return "no server listens on it; start the server again, which replaces the file"
        case PathState.FORBIDDEN:
            return (
                f"permission denied: {describe_permissions(address.path)}; "
                f"join that group, or change the group or mode of the socket"
            )
        case PathState.NOT_A_SOCKET:
            return "it is not a socket; use the path that the server was started with"
        case PathState.LIVE:
            return _protocol_fault(address)


def _protocol_fault(address: SocketAddress) -> str | None:
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_HANDSHAKE_SECONDS)
        try:
            connection.connect(str(address.path))
            connection.sendall(_PREFACE)
            while len(answer) < _HEADER_BYTES and (more := connection.recv(_HEADER_BYTES - len(answer))):
                answer += more
        except TimeoutError:
            return (
                f"the server sent nothing within {_HANDSHAKE_SECONDS:g} s; "
                f"check that it is a gRPC server and that it is not blocked"
            )
        except OSError as error:
            return closed(f": {(error.strerror or str(error)).lower()}")
    if not answer:
        return closed()
    if len(answer) == _HEADER_BYTES and answer[_TYPE_OFFSET] == _SETTINGS:
        return None
    return (
        f"the server does not speak HTTP/2, its answer starts with {answer!r}; "
        f"use the path of a gRPC server without TLS"
    )
