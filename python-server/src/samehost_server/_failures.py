"""What handlers raise, in the log of this library.

grpc logs it with its traceback, and can tell it from an abort or a cancellation. But it logs to `grpc`, to which it
gives a handler that does nothing, so a program that does not configure logging never sees it. So what grpc logs of our
handlers goes to `samehost_server` in its place.
"""

import logging
from contextvars import ContextVar

import grpc

METHOD: ContextVar[str | None] = ContextVar("samehost-method", default=None)
"""The method that is handled; grpc runs each call in a context of its own, or in a task."""

_LOG = logging.getLogger("samehost_server")

_GRPCS = ("grpc._server", "grpc._cython.cygrpc")
"""The loggers of grpc's two servers (grpcio 1.85.1)."""


def pass_on() -> None:
    """Passes on what handlers raise from now on; doing it twice is harmless."""
    for name in _GRPCS:
        logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(record: logging.LogRecord) -> bool:
    method, error = METHOD.get(), record.exc_info and record.exc_info[1]
    # InternalError: a connection that broke, of which the handler knows nothing.
    if not method or not error or isinstance(error, grpc.aio.InternalError):
        return True
    _LOG.error("%s raised %s", method, type(error).__name__, exc_info=error)
    return False
