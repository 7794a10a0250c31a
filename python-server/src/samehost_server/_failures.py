"""Logs the exceptions of handlers to the logger of this library.

grpc logs an exception of a handler with its traceback, and tells it from an abort or a cancellation. But its logger
`grpc` has a handler that does nothing, so a program that does not configure logging never sees the exception. This
module moves these records to the logger `samehost_server`.
"""

import logging
from contextvars import ContextVar

import grpc

METHOD: ContextVar[str | None] = ContextVar("samehost-method", default=None)
"""The method of the current call. grpc runs each call in its own context or task."""

_LOG = logging.getLogger("samehost_server")

_GRPCS = ("grpc._server", "grpc._cython.cygrpc")
"""The loggers of the two servers of grpc (grpcio 1.85.1)."""


def pass_on() -> None:
    """Starts to move the records. A second call has no effect."""
    for name in _GRPCS:
        logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(record: logging.LogRecord) -> bool:
    method, error = METHOD.get(), record.exc_info and record.exc_info[1]
    # InternalError: a connection broke, which is not an error of the handler.
    if not method or not error or isinstance(error, grpc.aio.InternalError):
        return True
    _LOG.error("%s raised %s", method, type(error).__name__, exc_info=error)
    return False
