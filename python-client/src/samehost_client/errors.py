"""The errors of the client library; each message is one line that names the path of the socket and the remedy."""

from typing import TYPE_CHECKING

from samehost_common import SamehostError

if TYPE_CHECKING:
    import grpc


class ConnectError(SamehostError):
    """No server can be reached at the address; the classes below say why."""


class NoSocketError(ConnectError):
    """There is no file at the path: the server has not started, or its folder is not mounted here."""


class StaleSocketError(ConnectError):
    """There is a socket at the path and nobody listens on it: its server was killed."""


class SocketPermissionError(ConnectError):
    """The socket's mode and group don't let this process write to it, which connecting takes (unix(7))."""


class WrongProtocolError(ConnectError):
    """Something listens at the path that does not speak HTTP/2."""


class TlsRequiredError(WrongProtocolError):
    """What listens at the path speaks TLS, and this channel does not."""


class CertificateError(ConnectError):
    """The certificate of the server at the path was refused, or the handshake failed for another reason."""


class NotReadyError(ConnectError):
    """A server answers at the path, and the channel to it was not ready in time."""


class CallError(SamehostError):
    """A server was reached and the call failed with `code`."""

    def __init__(self, message: str, code: "grpc.StatusCode") -> None:
        super().__init__(message)
        self.code = code
