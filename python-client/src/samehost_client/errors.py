"""The errors of the client library. Each message is one line with the path of the socket and a remedy."""

from typing import TYPE_CHECKING

from samehost_common import SamehostError

if TYPE_CHECKING:
    import grpc


class ConnectError(SamehostError):
    """No server can be reached at the address. The subclass says why."""


class NoSocketError(ConnectError):
    """No file exists at the path: the server has not started, or its folder is not mounted."""


class StaleSocketError(ConnectError):
    """A socket exists at the path, and no server listens on it: its server was killed."""


class SocketPermissionError(ConnectError):
    """This process has no write permission on the socket, which it needs to connect (unix(7))."""


class WrongProtocolError(ConnectError):
    """The server at the path does not speak HTTP/2."""


class TlsRequiredError(WrongProtocolError):
    """The server at the path requires TLS, and this channel does not use it."""


class CertificateError(ConnectError):
    """The channel rejected the certificate of the server, or the TLS handshake failed for another reason."""


class NotReadyError(ConnectError):
    """A server listens at the path, and it did not answer in time."""


class CallError(SamehostError):
    """The call reached a server and failed with the status `code`."""

    def __init__(self, message: str, code: "grpc.StatusCode") -> None:
        super().__init__(message)
        self.code = code
