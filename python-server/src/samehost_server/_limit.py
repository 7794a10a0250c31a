"""The limit on calls in progress: what is over it is refused at once, and health is never counted.

grpc's own `maximum_concurrent_rpcs` counts health checks too, so a busy server would look dead. It is no interceptor,
as those are asked about every call anew: with one, an asyncio server answered 10 % fewer calls.
"""

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import grpc

from samehost_server._failures import METHOD
from samehost_server._health import METHODS
from samehost_server.handlers import Handler, within, within_async

REFUSING_WORKERS = 2
"""Workers of a synchronous server beyond its limit: as many calls as the limit may hold one each, so
these are always free to refuse a call, or to answer a health check."""


class CallLimit(Protocol):
    """What counts calls and refuses those that are too many."""

    def around(self, method: str, handler: Handler) -> Handler:
        """The same method, counted."""


class LimitedServer:
    """Stands for the server in generated functions: what they add is counted, health excepted."""

    def __init__(self, server: grpc.Server | grpc.aio.Server, limit: CallLimit) -> None:
        self._server = server
        self._limit = limit

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """As grpc.Server has it."""
        self._server.add_generic_rpc_handlers([_LimitedService(handler, self._limited) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Handler]) -> None:
        """As grpc.Server has it."""
        self._server.add_registered_method_handlers(
            service, {method: self._limited(f"/{service}/{method}", handler) for method, handler in handlers.items()}
        )

    def _limited(self, name: str, handler: Handler) -> Handler:
        return handler if name in METHODS else self._limit.around(name, handler)


class _LimitedService(grpc.GenericRpcHandler):
    """A service whose methods are counted."""

    def __init__(self, service: grpc.GenericRpcHandler, limited: Callable[[str, Handler], Handler]) -> None:
        self._service = service
        self._limited = limited
        self._known: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """As grpc.GenericRpcHandler has it."""
        name = handler_call_details.method
        if name not in self._known and (handler := self._service.service(handler_call_details)):
            self._known[name] = self._limited(name, handler)
        return self._known.get(name)


class Limit:
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED, on a synchronous server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = threading.Semaphore(most)

    def around(self, method: str, handler: Handler) -> Handler:
        """The same method, counted."""
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
    """Refuses calls beyond `most` with RESOURCE_EXHAUSTED, on an asyncio server."""

    def __init__(self, most: int) -> None:
        self._refusal = _refusal(most)
        self._permits = most
        self._is_handler = ContextVar("samehost-handler", default=False)

    def is_in_handler(self) -> bool:
        """Whether the caller is a handler, or a task that one has started."""
        return self._is_handler.get()

    def around(self, method: str, handler: Handler) -> Handler:
        """The same method, counted."""
        return within_async(handler, lambda context: self._entered(method, context))

    @contextlib.asynccontextmanager
    async def _entered(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        if not self._permits:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._refusal)
        self._permits -= 1
        self._is_handler.set(True)  # in the context of the call's own task
        METHOD.set(method)
        try:
            yield
        finally:
            self._permits += 1


def _refusal(most: int) -> str:
    return f"the server has its limit of {most} calls in progress; try again later, or raise max_concurrent_calls"
