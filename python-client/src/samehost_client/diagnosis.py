"""Why a server can't be reached, or a call failed, told apart and said in one line with the remedy."""

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
from samehost_common.probe import PathState, describe_permissions, path_state

_HANDSHAKE_SECONDS = 1.0
"""How long a server may take to send its first frame; on one machine it takes less than a millisecond."""

# RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_FRAME_HEADER_BYTES = 9
_TYPE_OFFSET = 3
_SETTINGS = 4

# How C-core's details begin to speak of TLS (grpc/grpc src/core/handshaker/security, and its hostname check): as grpcio
# 1.85 has it, and as 1.75 does.
_HANDSHAKE_FAILED = re.compile("Tls handshake failed|Ssl handshake failed")
_NAME_REFUSED = re.compile("Hostname Verification Check failed|is not in peer certificate")


def diagnose(address: AddressLike) -> SamehostError | None:
    """Says why no gRPC server can be reached at the address, by looking and dialling; None where one answers.

    Takes at most a second. The error is returned, not raised, so that it can be raised from its cause.

    Raises:
        AddressError: the address is invalid.
    """
    address = SocketAddress.parse(address)
    path = address.path
    match path_state(address):
        case PathState.ABSENT if not path.parent.is_dir():
            return NoSocketError(f"no socket at {path}: there is no folder {path.parent}; create it or mount it here")
        case PathState.ABSENT:
            return NoSocketError(f"no socket at {path}: start its server, or mount the folder that it serves in")
        case PathState.STALE:
            return StaleSocketError(
                f"nobody listens on {path}: its server is gone; start it again and it replaces the file"
            )
        case PathState.FORBIDDEN:
            return SocketPermissionError(
                f"no permission to connect to {path}: {describe_permissions(path)}; connecting takes write permission: "
                f"run in that group, or serve with another --group or --mode"
            )
        case PathState.NOT_A_SOCKET:
            return NotASocketError(f"{path} is not a socket; give the path that the server was started with")
        case PathState.LIVE:
            return _diagnose_protocol(address)


def explain(error: grpc.RpcError, address: AddressLike) -> SamehostError:
    """Says what a failed call means: why the server can't be reached, or else what it answered.

    Takes the errors of both kinds of channel: `raise explain(error, address) from error`.
    """
    address = SocketAddress.parse(address)
    code, details = error.code(), error.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE and (refused := certificate_refused(details, address)):
        return refused
    if code is grpc.StatusCode.UNAVAILABLE and (reason := diagnose(address)):
        return reason
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return diagnose(address) or CallError(
            f"no answer from {address} before the deadline: {details}; give it more time, or see what keeps it", code
        )
    return CallError(f"{address} answered {code.name}: {details}", code)


def certificate_refused(details: str, address: SocketAddress) -> CertificateError | None:
    """What C-core says of a TLS handshake that failed, in one line; None where its details say nothing of one."""
    if failed := _HANDSHAKE_FAILED.search(details):
        reason = details[failed.start() :].removesuffix(": OK").rpartition(": ")[2]
    elif _NAME_REFUSED.search(details):
        reason = "it is for another name than localhost, or than the one in grpc.ssl_target_name_override"
    else:
        return None
    return CertificateError(
        f"no TLS with the server at {address.path}: {reason}; see that its certificate is in date, for that name, and "
        f"of an authority that the credentials of this channel trust"
    )


def not_ready(address: SocketAddress, seconds: float) -> SamehostError:
    """Why waiting for a server was in vain."""
    return diagnose(address) or NotReadyError(
        f"a server answers at {address.path} and was not ready within {seconds:g} s; wait longer, or see its log"
    )


def refuse_what_waiting_cannot_cure(address: SocketAddress) -> None:
    """Raises where no server that starts later could help."""
    if path_state(address) in {PathState.NOT_A_SOCKET, PathState.FORBIDDEN} and (reason := diagnose(address)):
        raise reason


def _diagnose_protocol(address: SocketAddress) -> ConnectError | None:
    answer = b""
    fault = ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_HANDSHAKE_SECONDS)
        try:
            connection.connect(str(address.path))
            connection.sendall(_PREFACE)
            while len(answer) < _FRAME_HEADER_BYTES and (more := connection.recv(_FRAME_HEADER_BYTES - len(answer))):
                answer += more
        except TimeoutError:
            return WrongProtocolError(
                f"what listens on {address.path} did not speak within {_HANDSHAKE_SECONDS:g} s; "
                f"see whether it is a gRPC server, and whether it hangs"
            )
        except OSError as error:
            fault = f"hung up: {error.strerror}; see whether it is a gRPC server"
    if len(answer) == _FRAME_HEADER_BYTES and answer[_TYPE_OFFSET] == _SETTINGS:
        return None
    if _speaks_tls(address):
        return TlsRequiredError(
            f"what listens on {address.path} speaks TLS; connect with credentials=grpc.ssl_channel_credentials(...)"
        )
    return WrongProtocolError(
        f"what listens on {address.path} "
        + (fault or f"does not speak HTTP/2: it began with {answer!r}; give the path of a gRPC server")
    )


def _speaks_tls(address: SocketAddress) -> bool:
    """Whether a TLS handshake gets an answer of TLS, be it a refusal; whose certificate it is does not matter here."""
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
