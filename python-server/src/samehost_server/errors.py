"""The errors of the server library. Each message is one line with the cause, the value and a remedy."""

from samehost_common import SamehostError


class BindError(SamehostError):
    """The server cannot listen: the folder is missing or not writable, or the system cannot create the socket."""


class SocketInUseError(BindError):
    """Another server holds the lock, listens on the socket, or cannot be taken over."""


class RemovedError(SamehostError):
    """The socket was removed or replaced while the server ran."""


class StateError(SamehostError, RuntimeError):
    """The server is in the wrong state for a call: it already started, never started, or runs in another event loop."""


class ServiceError(SamehostError, TypeError):
    """A service cannot be served: it is not a servicer, has methods of the wrong kind, or is given twice."""
