"""Servicers as users write them, added to a server and known by their names."""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc

from samehost_server.errors import ServiceError
from samehost_server.handlers import Handler, behavior_of


def add_services(
    server: grpc.Server | grpc.aio.Server, servicers: Iterable[object], *, asynchronous: bool
) -> list[str]:
    """Adds servicers to a server and returns the full names of their services.

    Raises:
        ServiceError: an object derives from no generated servicer, or has methods of the other kind.
    """
    adding = _Adding(server, asynchronous=asynchronous)
    for servicer in servicers:
        for add in _generated_functions(servicer):
            add(servicer, adding)
    return adding.names


def _generated_functions(servicer: object) -> Sequence[Callable[[object, Any], None]]:
    """The `add_...Servicer_to_server` functions that stand beside the generated classes it derives from."""
    functions = [
        getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server", None) for base in type(servicer).__mro__
    ]
    found = [function for function in functions if function is not None]
    if not found:
        raise ServiceError(
            f"{servicer!r} is no servicer: give an instance of a class derived from a generated ...Servicer"
        )
    return found


class _Adding:
    """Stands for the server in a generated function: checks what it adds, and keeps the names."""

    def __init__(self, server: grpc.Server | grpc.aio.Server, *, asynchronous: bool) -> None:
        self._server = server
        self._asynchronous = asynchronous
        self.names: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Adds the methods that the servicer has written; the server answers UNIMPLEMENTED for the others."""
        self._server.add_generic_rpc_handlers([_Written(handler) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Handler]) -> None:
        """Adds the methods that the servicer has written, as above."""
        written = {method: handler for method, handler in handlers.items() if not _is_generated(handler)}
        for method, handler in written.items():
            behavior = behavior_of(handler)
            if _is_asynchronous(behavior) != self._asynchronous:
                kind, remedy = ("def", "Server") if self._asynchronous else ("async def", "aio.Server")
                raise ServiceError(
                    f"{service}/{method} is written with {kind!r}: serve it with samehost_server.{remedy}"
                )
        self._server.add_registered_method_handlers(service, written)
        self.names.append(service)


class _Written(grpc.GenericRpcHandler):
    """A service less the methods that its servicer inherits from the generated base."""

    def __init__(self, service: grpc.GenericRpcHandler) -> None:
        self._service = service

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """As grpc.GenericRpcHandler has it."""
        handler = self._service.service(handler_call_details)
        return None if handler is None or _is_generated(handler) else handler


def _is_asynchronous(behavior: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(behavior) or inspect.isasyncgenfunction(behavior)


def _is_generated(handler: Handler) -> bool:
    """Whether a method is inherited from the generated base, where all it does is raise NotImplementedError."""
    return behavior_of(handler).__module__.endswith("_pb2_grpc")
