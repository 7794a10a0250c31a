"""Limits the calls in progress. A call beyond the limit is refused at once. Health checks are not counted.

The `maximum_concurrent_rpcs` of grpc counts health checks too, so that a busy server would look dead. The limit is not
an interceptor, because grpc runs those for every call: with one, an asyncio server answered 10 % fewer calls.
"""

import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import grpc

from samehost_server._failures import METHOD
from samehost_server._health import METHODS
from samehost_server.handlers import Handler, within, within_async

REFUSING_WORKERS = 2
"""Extra workers of a synchronous server. The calls within the limit can occupy all others, so that these are always
free to refuse a call or to answer a health check."""


class CallLimit(Protocol):
    """Counts calls and refuses those beyond the limit."""

    def around(self, method: str, handler: Handler) -> Handler:
        """Returns the handler with its calls counted."""


class LimitedServer:
    """Replaces the server in generated functions, to count the methods that they add, except those of health."""

    def __init__(self, server: grpc.Server | grpc.aio.Server, limit: CallLimit) -> None:
        self._server = server
        # Without a reference to the server, which would keep a stopped one until the garbage collector runs.
        self._limited = functools.partial(_limited, limit)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Implements grpc.Server."""
        self._server.add_generic_rpc_handlers([_LimitedService(handler, self._limited) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Handler]) -> None:
        """Implements grpc.Server."""
        self._server.add_registered_method_handlers(
            service, {method: self._limited(f"/{service}/{method}", handler) for method, handler in handlers.items()}
        )


def _limited(limit: CallLimit, name: str, handler: Handler) -> Handler:
    return handler if name in METHODS else limit.around(name, handler)


class _LimitedService(grpc.GenericRpcHandler):
    """A service with counted methods."""

    def __init__(self, service: grpc.GenericRpcHandler, limited: Callable[[str, Handler], Handler]) -> None:
        self._service = service
        self._limited = limited
        self._known: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Implements grpc.GenericRpcHandler."""
        name = handler_call_details.method
        if name not in self._known and (handler := self._service.service(handler_call_details)):
            self._known[name] = self._limited(name, handler)
        return self._known.get(name)


class Limit:
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED on a synchronous server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = threading.Semaphore(most)

    def around(self, method: str, handler: Handler) -> Handler:
        """Returns the handler with its calls counted."""
        return within(handler, lambda context: self._entered(method, context))

    @contextlib.contextmanager
    def _entered(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        if not self._permits.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._refusal)
        METHOD.set(method)
        try:
            yield
        finally:
            self._permits.release()


class AsyncLimit:
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED on an asyncio server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = most
        self._is_handler = ContextVar("samehost-handler", default=False)

    def is_in_handler(self) -> bool:
        """Whether the caller is a handler or a task that a handler started."""
        return self._is_handler.get()

    def around(self, method: str, handler: Handler) -> Handler:
        """Returns the handler with its calls counted."""
        return within_async(handler, lambda context: self._entered(method, context))

    @contextlib.asynccontextmanager
    async def _entered(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        if not self._permits:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._refusal)
        self._permits -= 1
        self._is_handler.set(True)  # in the context of the task of this call
        METHOD.set(method)
        try:
            yield
        finally:
            self._permits += 1


def _refusal(most: int) -> str:
    return f"the server has its limit of {most} calls in progress; try again later, or raise max_concurrent_calls"
