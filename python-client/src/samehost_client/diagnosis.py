"""Finds out why a server cannot be reached, or why a call failed, and explains it in one line with the remedy."""

import re
import socket
import ssl

import grpc

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
from samehost_common import AddressLike, NotASocketError, SamehostError, SocketAddress
from samehost_common.probe import PathState, describe_permissions, path_state, reason

_HANDSHAKE_SECONDS = 1.0
"""The timeout for the first frame of a server. On one machine it takes less than a millisecond."""

# RFC 9113, 3.4 and 4.1: the preface of a client, an empty SETTINGS frame, and the position of the type in a frame
# header.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_FRAME_HEADER_BYTES = 9
_TYPE_OFFSET = 3
_SETTINGS = 4

# The details of C-core about TLS (grpc/grpc src/core/handshaker/security, and its hostname check), in grpcio 1.85 and
# in 1.75, and those of samehost_native.
_HANDSHAKE_FAILED = re.compile("Tls handshake failed|Ssl handshake failed|the TLS handshake failed")
_NAME_REFUSED = re.compile("Hostname Verification Check failed|is not in peer certificate")


def diagnose(address: AddressLike) -> SamehostError | None:
    """Returns why no gRPC server can be reached at the address; None if one answers.

    Looks at the path and connects to it, which takes at most a second. The error is returned, not raised, so that the
    caller can raise it from its cause.

    Raises:
        AddressError: the address is invalid.
    """
    address = SocketAddress.parse(address)
    path = address.path
    cannot = f"cannot connect to {path}"
    match path_state(address):
        case PathState.ABSENT if not path.parent.is_dir():
            return NoSocketError(f"{cannot}: the folder {path.parent} does not exist; check the path or mount it")
        case PathState.ABSENT:
            return NoSocketError(
                f"{cannot}: no socket exists there; start the server, or mount the folder that it uses"
            )
        case PathState.STALE:
            return StaleSocketError(
                f"{cannot}: no server listens on it; start the server again, which replaces the file"
            )
        case PathState.FORBIDDEN:
            return SocketPermissionError(
                f"{cannot}: permission denied: {describe_permissions(path)}; "
                f"join that group, or change the group or mode of the socket"
            )
        case PathState.NOT_A_SOCKET:
            return NotASocketError(f"{cannot}: it is not a socket; use the path that the server was started with")
        case PathState.LIVE:
            return _diagnose_protocol(address)


def explain(error: grpc.RpcError, address: AddressLike) -> SamehostError:
    """Explains a failed call: returns why the server cannot be reached, else the status that it answered.

    Accepts the errors of synchronous and asyncio channels: `raise explain(error, address) from error`.
    """
    address = SocketAddress.parse(address)
    code, details = error.code(), error.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE and (refused := certificate_refused(details, address)):
        return refused
    if code is grpc.StatusCode.UNAVAILABLE and (unreachable := diagnose(address)):
        return unreachable
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return diagnose(address) or CallError(
            f"{address} did not answer before the deadline: {details}; set a longer deadline, or read the server's log",
            code,
        )
    return CallError(f"{address} answered {code.name}: {details}", code)


def certificate_refused(details: str, address: SocketAddress) -> CertificateError | None:
    """Returns the error for an engine's details of a failed TLS handshake; None if they are about something else."""
    if failed := _HANDSHAKE_FAILED.search(details):
        cause = details[failed.start() :].removesuffix(": OK").rpartition(": ")[2]
    elif _NAME_REFUSED.search(details):
        cause = "the certificate does not name localhost, or the value of grpc.ssl_target_name_override"
    else:
        return None
    return CertificateError(
        f"cannot connect to {address.path}: the TLS handshake failed: {cause}; use a certificate that has not expired, "
        f"has that name, and comes from an authority that this channel trusts"
    )


def not_ready(address: SocketAddress, seconds: float) -> SamehostError:
    """Returns why no server answered while a channel waited for one."""
    return diagnose(address) or NotReadyError(
        f"cannot connect to {address.path}: the server did not answer a call within {seconds:g} s; "
        f"wait longer, or read the server's log"
    )


def refuse_what_waiting_cannot_cure(address: SocketAddress) -> None:
    """Raises the error of a path at which no server can start later."""
    if path_state(address) in {PathState.NOT_A_SOCKET, PathState.FORBIDDEN} and (unreachable := diagnose(address)):
        raise unreachable


def _diagnose_protocol(address: SocketAddress) -> ConnectError | None:
    cannot = f"cannot connect to {address.path}"
    answer = b""
    broken = ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_HANDSHAKE_SECONDS)
        try:
            connection.connect(str(address.path))
            connection.sendall(_PREFACE)
            while len(answer) < _FRAME_HEADER_BYTES and (more := connection.recv(_FRAME_HEADER_BYTES - len(answer))):
                answer += more
        except TimeoutError:
            return WrongProtocolError(
                f"{cannot}: the server sent nothing within {_HANDSHAKE_SECONDS:g} s; "
                f"check that it is a gRPC server and that it is not blocked"
            )
        except OSError as error:
            broken = f": {reason(error)}"
    if len(answer) == _FRAME_HEADER_BYTES and answer[_TYPE_OFFSET] == _SETTINGS:
        return None
    if _speaks_tls(address):
        return TlsRequiredError(
            f"{cannot}: the server requires TLS; connect with ca=..., or credentials=grpc.ssl_channel_credentials(...)"
        )
    if broken or not answer:
        return WrongProtocolError(f"{cannot}: the server closed the connection{broken}; check that it is a gRPC server")
    return WrongProtocolError(
        f"{cannot}: the server does not speak HTTP/2, its answer starts with {answer!r}; use the path of a gRPC server"
    )


def _speaks_tls(address: SocketAddress) -> bool:
    """Whether the server answers a TLS handshake, even with a refusal. Its certificate does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_HANDSHAKE_SECONDS)
        try:
            connection.connect(str(address.path))
            with context.wrap_socket(connection):
                return True
        except OSError:
            return False
