"""Method handlers, rebuilt around their behavior: what a server interceptor needs to see the messages of a call."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # generic in its stubs alone
    Handler = grpc.RpcMethodHandler

_FACTORIES: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def behavior_of(handler: Handler) -> Callable[..., Any]:
    """The servicer's method behind a handler."""
    kind = f"{_word(handler.request_streaming)}_{_word(handler.response_streaming)}"
    behavior: Callable[..., Any] = getattr(handler, kind)
    return behavior


def with_behavior(
    handler: Handler,
    behavior: Callable[..., Any],
    request_deserializer: Callable[[bytes], Any] | None = None,
) -> Handler:
    """The same handler around another behavior and, where one is given, another deserializer."""
    factory = _FACTORIES[bool(handler.request_streaming), bool(handler.response_streaming)]
    return factory(behavior, request_deserializer or handler.request_deserializer, handler.response_serializer)


def _word(streaming: bool | None) -> str:
    return "stream" if streaming else "unary"
