"""The errors of the client library; each message is one line that names the path of the socket and the remedy."""

import grpc

from samehost_proto import SamehostError


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


class NotReadyError(ConnectError):
    """A server answers at the path, and the channel to it was not ready in time."""


class CallError(SamehostError):
    """A server was reached and the call failed with `code`."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code
