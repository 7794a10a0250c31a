"""Finds the handler of a call, through the interceptors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import grpc

from samehost_native._common import metadata_of
from samehost_native._engine import Server as Engine
from samehost_native._engine import ServerCall


class _Details(NamedTuple):
    method: str
    invocation_metadata: Any


class Handlers:
    """The methods of a server.

    Args:
        engine: the engine, which needs to know each method to wait for the request before a handler runs.
        interceptors: interceptors of grpcio. The first one is the outermost.
    """

    def __init__(self, engine: Engine, interceptors: Sequence[Any]) -> None:
        self._engine = engine
        self._generic: list[grpc.GenericRpcHandler] = []
        self.interceptors = list(interceptors)
        self.registered: dict[str, Any] = {}

    def add_generic(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Adds handlers that look up their methods themselves."""
        self._generic.extend(handlers)

    def add_registered(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Adds methods by their names."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            self.registered[method] = handler
            self._engine.register(method, not handler.request_streaming, self.pool_of(handler) is not None)

    @staticmethod
    def pool_of(handler: Any) -> Any:
        """Returns the thread pool of a method (`experimental_thread_pool` of grpcio), or None."""
        return getattr(behavior_of(handler), "experimental_thread_pool", None)

    def find(self, call: ServerCall) -> Any:
        """Returns the handler of a call, or None if the method does not exist."""
        if not self.interceptors and (handler := self.registered.get(call.method)):
            return handler
        details = _Details(call.method, metadata_of(call.metadata()))
        continuation: Callable[[Any], Any] = self.look_up
        for interceptor in reversed(self.interceptors):
            continuation = _bound(interceptor, continuation)
        return continuation(details)

    async def find_async(self, call: ServerCall) -> Any:
        """Returns the handler of a call through interceptors of grpc.aio, or None if the method does not exist."""
        details = _Details(call.method, metadata_of(call.metadata()))

        async def look_up(details: Any) -> Any:
            return self.look_up(details)

        continuation: Callable[[Any], Any] = look_up
        for interceptor in reversed(self.interceptors):
            continuation = _bound(interceptor, continuation)
        return await continuation(details)

    def look_up(self, details: Any) -> Any:
        """Returns the handler of a method without the interceptors, or None."""
        if handler := self.registered.get(details.method):
            return handler
        return next((found for each in self._generic if (found := each.service(details)) is not None), None)


def _bound(interceptor: Any, continuation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda details: interceptor.intercept_service(continuation, details)


def behavior_of(handler: Any) -> Callable[..., Any]:
    """Returns the method of the servicer that a handler calls."""
    request, response = (
        "stream" if each else "unary" for each in (handler.request_streaming, handler.response_streaming)
    )
    behavior: Callable[..., Any] = getattr(handler, f"{request}_{response}")
    return behavior
