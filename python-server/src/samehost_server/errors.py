"""The errors of the server library; each message is one line with what went wrong, the value and the remedy."""

from samehost_common import SamehostError


class BindError(SamehostError):
    """The socket can't be made: its folder is missing or not writable, or the system refused it."""


class SocketInUseError(BindError):
    """Another server owns the path: it holds the lock, or answers on the socket."""


class RemovedError(SamehostError):
    """Someone has removed the socket's file, or put another in its place, while the server served."""


class StateError(SamehostError, RuntimeError):
    """The server is in no state for that: it was started before, or never, or runs in another event loop."""


class ServiceError(SamehostError, TypeError):
    """Something was given as a service that no server can serve."""
