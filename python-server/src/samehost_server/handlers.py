"""Wraps method handlers, so that a server interceptor can see the messages of a call."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # it is generic only in its stubs
    Handler = grpc.RpcMethodHandler

_FACTORIES: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def behavior_of(handler: Handler) -> Callable[..., Any]:
    """Returns the method of the servicer behind a handler."""
    kind = f"{_word(handler.request_streaming)}_{_word(handler.response_streaming)}"
    behavior: Callable[..., Any] = getattr(handler, kind)
    return behavior


def with_behavior(
    handler: Handler,
    behavior: Callable[..., Any],
    request_deserializer: Callable[[bytes], Any] | None = None,
) -> Handler:
    """Returns a copy of a handler with another behavior and, if one is given, another deserializer."""
    factory = _FACTORIES[bool(handler.request_streaming), bool(handler.response_streaming)]
    return factory(behavior, request_deserializer or handler.request_deserializer, handler.response_serializer)


def within(handler: Handler, enter: Callable[[grpc.ServicerContext], AbstractContextManager[object]]) -> Handler:
    """Returns a copy of a synchronous handler. Each call runs in the context manager that `enter` returns."""
    behavior = behavior_of(handler)

    @functools.wraps(behavior)  # keeps the attribute that makes grpc run health in its own pool
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        with enter(context):
            return behavior(request, context)

    @functools.wraps(behavior)
    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with enter(context):
            yield from behavior(request, context)

    return with_behavior(handler, stream if handler.response_streaming else answer)


def within_async(
    handler: Handler, enter: Callable[[grpc.aio.ServicerContext[Any, Any]], AbstractAsyncContextManager[object]]
) -> Handler:
    """Returns a copy of an asyncio handler. Each call runs in the context manager that `enter` returns."""
    behavior = behavior_of(handler)

    @functools.wraps(behavior)
    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        async with enter(context):
            return await behavior(request, context)

    @functools.wraps(behavior)
    async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        async with enter(context), aclosing(behavior(request, context)) as responses:
            async for response in responses:
                yield response

    # Not handler.response_streaming: a coroutine can also stream, with `context.write`.
    return with_behavior(handler, stream if inspect.isasyncgenfunction(behavior) else answer)


def _word(streaming: bool | None) -> str:
    return "stream" if streaming else "unary"
