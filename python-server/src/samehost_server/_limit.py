"""The limit on calls in progress: what is over it is refused at once, and health checks are never counted.

grpc's own `maximum_concurrent_rpcs` counts health checks too, so a busy server would look dead.
"""

import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc

from samehost_server._health import CHECK
from samehost_server.handlers import Handler, behavior_of, with_behavior

REFUSING_WORKERS = 2
"""Workers of a synchronous server beyond its limit: as many calls as the limit may hold one each, so
these are always free to refuse a call, or to answer a health check."""


class Limit(grpc.ServerInterceptor):
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED, on a synchronous server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = threading.Semaphore(most)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Puts the limit around the method that was called."""
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method == CHECK:
            return handler
        limited = self._streaming if handler.response_streaming else self._answering
        return with_behavior(handler, limited(behavior_of(handler)))

    def _answering(self, behavior: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self._permit(context):
                return behavior(request, context)

        return answer

    def _streaming(self, behavior: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._permit(context):
                yield from behavior(request, context)

        return stream

    @contextlib.contextmanager
    def _permit(self, context: grpc.ServicerContext) -> Iterator[None]:
        if not self._permits.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._refusal)
        try:
            yield
        finally:
            self._permits.release()


class AsyncLimit(grpc.aio.ServerInterceptor):
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED, on an asyncio server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = most

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Puts the limit around the method that was called."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method == CHECK:
            return handler
        behavior = behavior_of(handler)
        # A coroutine may stream too, with `context.write`, so it is the method's own kind that counts.
        limited = self._streaming if inspect.isasyncgenfunction(behavior) else self._answering
        return with_behavior(handler, limited(behavior))

    def _answering(self, behavior: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._permit(context):
                return await behavior(request, context)

        return answer

    def _streaming(self, behavior: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with (
                self._permit(context),
                contextlib.aclosing(behavior(request, context)) as responses,
            ):
                async for response in responses:
                    yield response

        return stream

    @contextlib.asynccontextmanager
    async def _permit(self, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        if not self._permits:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._refusal)
        self._permits -= 1
        try:
            yield
        finally:
            self._permits += 1


def _refusal(most: int) -> str:
    return f"the server has its limit of {most} calls in progress; try again later, or raise max_concurrent_calls"
