"""The access log of `samehost-server`: one line for each call that has ended."""

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any

import grpc

from samehost_server.handlers import Handler, behavior_of, with_behavior

LOG = logging.getLogger("samehost_server.access")


class AccessLog(grpc.ServerInterceptor):
    """Logs the method, status and milliseconds of each call, on a synchronous server."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """As grpc.ServerInterceptor has it."""
        handler = continuation(handler_call_details)
        if handler is None:
            _log_unknown(handler_call_details.method)
            return None
        logged = self._streaming if handler.response_streaming else self._answering
        return with_behavior(handler, logged(handler_call_details.method, behavior_of(handler)))

    def _answering(self, method: str, behavior: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(behavior)
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with _Call(method, context):
                return behavior(request, context)

        return answer

    def _streaming(self, method: str, behavior: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @functools.wraps(behavior)
        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(method, context):
                yield from behavior(request, context)

        return stream


class AsyncAccessLog(grpc.aio.ServerInterceptor):
    """Logs the method, status and milliseconds of each call, on an asyncio server."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """As grpc.aio.ServerInterceptor has it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            _log_unknown(handler_call_details.method)
            return None
        behavior = behavior_of(handler)
        logged = self._streaming if inspect.isasyncgenfunction(behavior) else self._answering
        return with_behavior(handler, logged(handler_call_details.method, behavior))

    def _answering(self, method: str, behavior: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(behavior)
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            with _Call(method, context):
                return await behavior(request, context)

        return answer

    def _streaming(self, method: str, behavior: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(behavior)
        async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            with _Call(method, context):
                async for response in behavior(request, context):
                    yield response

        return stream


class _Call:
    """A call from its first step to its end, at which it is logged."""

    def __init__(self, method: str, context: Any) -> None:
        self._method = method
        self._context = context
        self._begun = time.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._code(error)
        LOG.info("%s %s %.1f ms", self._method, getattr(code, "name", code), (time.monotonic() - self._begun) * 1000)

    def _code(self, error: BaseException | None) -> object:
        # A synchronous handler is not interrupted when its caller goes, and asyncio's context has no is_active.
        is_left = hasattr(self._context, "is_active") and not self._context.is_active()
        if is_left or isinstance(error, asyncio.CancelledError | GeneratorExit):
            is_late = self._context.time_remaining() == 0
            return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
        return self._context.code() or (grpc.StatusCode.UNKNOWN if error else grpc.StatusCode.OK)


def _log_unknown(method: str) -> None:
    LOG.info("%s %s 0.0 ms", method, grpc.StatusCode.UNIMPLEMENTED.name)
