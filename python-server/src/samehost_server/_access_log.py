"""The access log of `samehost-server`: one line for each call that has ended."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import grpc

from samehost_server.handlers import Handler, within, within_async

LOG = logging.getLogger("samehost_server.access")

_TRANSIT_SECONDS = 0.02
"""How much later the deadline of a call may pass on the server than on its client, which then cancels the call. The
server counts from the arrival of the call, on a new connection 6 ms after the client."""


class AccessLog(grpc.ServerInterceptor):
    """Logs the method, status and milliseconds of each call on a synchronous server."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Implements grpc.ServerInterceptor."""
        handler = continuation(handler_call_details)
        if handler is None:
            _log_unknown(handler_call_details.method)
            return None
        return within(handler, lambda context: _Call(handler_call_details.method, context))


class AsyncAccessLog(grpc.aio.ServerInterceptor):
    """Logs the method, status and milliseconds of each call on an asyncio server."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Implements grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            _log_unknown(handler_call_details.method)
            return None
        return within_async(handler, lambda context: _Call(handler_call_details.method, context))


class _Call:
    """Measures a call and logs it at its end."""

    def __init__(self, method: str, context: Any) -> None:
        self._method = method
        self._context = context
        self._begun = time.monotonic()

    def __enter__(self) -> None:
        pass

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._code(error)
        LOG.info("%s %s %.1f ms", self._method, getattr(code, "name", code), (time.monotonic() - self._begun) * 1000)

    def _code(self, error: BaseException | None) -> object:
        # A synchronous handler keeps running after its caller has cancelled. The context of asyncio has no is_active.
        is_cancelled = hasattr(self._context, "is_active") and not self._context.is_active()
        if is_cancelled or isinstance(error, asyncio.CancelledError | GeneratorExit):
            left = self._context.time_remaining()
            is_late = left is not None and left < _TRANSIT_SECONDS
            return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
        return self._context.code() or (grpc.StatusCode.UNKNOWN if error else grpc.StatusCode.OK)


def _log_unknown(method: str) -> None:
    LOG.info("%s %s 0.0 ms", method, grpc.StatusCode.UNIMPLEMENTED.name)
