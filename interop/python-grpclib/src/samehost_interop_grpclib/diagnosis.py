"""Why a call failed, told apart and said in one line with the remedy."""

import socket

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost_common import NotASocketError, SamehostError, SocketAddress
from samehost_common.probe import PathState, describe_permissions, path_state

_HANDSHAKE_SECONDS = 1.0
"""How long a server may take to send its first frame; on one machine it takes less than a millisecond."""

# RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HEADER_BYTES = 9
_TYPE_OFFSET = 3
_SETTINGS = 4


def explain(error: GRPCError, address: SocketAddress) -> SamehostError:
    """Says what a failed call means: why the server can't be reached, or else what it answered."""
    details = error.message or "no details"
    if error.status is Status.UNAVAILABLE and (reason := diagnose(address)):
        return reason
    if error.status is Status.DEADLINE_EXCEEDED:
        return diagnose(address) or SamehostError(
            f"no answer from {address} before the deadline: {details}; give it more time, or see what keeps it"
        )
    return SamehostError(f"{address} answered {error.status.name}: {details}")


def diagnose(address: SocketAddress) -> SamehostError | None:
    """Says why no gRPC server can be reached, by looking and dialling, for a second at most; None where one answers."""
    path = address.path
    match path_state(address):
        case PathState.ABSENT if not path.parent.is_dir():
            return SamehostError(f"no socket at {path}: there is no folder {path.parent}; create it or mount it here")
        case PathState.ABSENT:
            return SamehostError(f"no socket at {path}: start its server, or mount the folder that it serves in")
        case PathState.STALE:
            return SamehostError(
                f"nobody listens on {path}: its server is gone; start it again and it replaces the file"
            )
        case PathState.FORBIDDEN:
            return SamehostError(
                f"no permission to connect to {path}: {describe_permissions(path)}; connecting takes write permission: "
                f"run in that group, or serve with another --group or --mode"
            )
        case PathState.NOT_A_SOCKET:
            return NotASocketError(f"{path} is not a socket; give the path that the server was started with")
        case PathState.LIVE:
            return _diagnose_protocol(address)


def _diagnose_protocol(address: SocketAddress) -> SamehostError | None:
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_HANDSHAKE_SECONDS)
        try:
            connection.connect(str(address.path))
            connection.sendall(_PREFACE)
            while len(answer) < _HEADER_BYTES and (more := connection.recv(_HEADER_BYTES - len(answer))):
                answer += more
        except TimeoutError:
            return SamehostError(
                f"what listens on {address.path} did not speak within {_HANDSHAKE_SECONDS:g} s; "
                f"see whether it is a gRPC server, and whether it hangs"
            )
        except OSError as error:
            return SamehostError(
                f"what listens on {address.path} hung up: {error.strerror}; see whether it is a gRPC server"
            )
    if len(answer) == _HEADER_BYTES and answer[_TYPE_OFFSET] == _SETTINGS:
        return None
    return SamehostError(
        f"what listens on {address.path} does not speak HTTP/2: it began with {answer!r}; "
        f"give the path of a gRPC server without TLS"
    )
