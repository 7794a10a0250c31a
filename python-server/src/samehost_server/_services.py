"""Servicers as users write them, added to a server and known by their names."""

import functools
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
        ServiceError: an object derives from no generated servicer, has methods of the other kind, or serves what
            another one serves already.
    """
    adding = _Adding(server)
    for servicer in servicers:
        for base, add in _generated(servicer):
            before = len(adding.names)
            add(servicer, adding)
            for name in adding.names[before:]:
                if name in adding.names[:before]:
                    raise ServiceError(f"{name} is given twice; leave one of its servicers out")
                _refuse_other_kind(servicer, base, name, asynchronous=asynchronous)
    return adding.names


def _generated(servicer: object) -> Sequence[tuple[type, Callable[[object, Any], None]]]:
    """The generated classes that a servicer derives from, with the `add_...Servicer_to_server` that is beside each."""
    found = [
        (base, function)
        for base in type(servicer).__mro__
        if (function := getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server", None))
    ]
    if not found:
        raise ServiceError(
            f"{servicer!r} is no servicer: give an instance of a class derived from a generated ...Servicer"
        )
    return found


def _refuse_other_kind(servicer: object, base: type, service: str, *, asynchronous: bool) -> None:
    for method in vars(base):
        behavior = getattr(servicer, method)
        if method.startswith("_") or not callable(behavior) or _is_generated(behavior):
            continue
        if _is_asynchronous(behavior) != asynchronous:
            kind, remedy = ("def", "Server") if asynchronous else ("async def", "aio.Server")
            raise ServiceError(f"{service}/{method} is written with {kind!r}: serve it with samehost_server.{remedy}")


class _Adding:
    """Stands for the server in a generated function, and keeps the names of what it adds."""

    def __init__(self, server: grpc.Server | grpc.aio.Server) -> None:
        self._server = server
        self.names: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Adds the methods that the servicer has written; the server answers UNIMPLEMENTED for the others.

        Stubs that are older than grpcio-tools 1.64 call nothing else, so the name is taken here.
        """
        self._server.add_generic_rpc_handlers([_Written(handler) for handler in handlers])
        self.names += [handler.service_name() for handler in handlers if isinstance(handler, grpc.ServiceRpcHandler)]

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Handler]) -> None:
        """Adds the methods that the servicer has written, as above."""
        written = {method: handler for method, handler in handlers.items() if not _is_generated(behavior_of(handler))}
        self._server.add_registered_method_handlers(service, written)


class _Written(grpc.GenericRpcHandler):
    """A service less the methods that its servicer inherits from the generated base."""

    def __init__(self, service: grpc.GenericRpcHandler) -> None:
        self._service = service

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """As grpc.GenericRpcHandler has it."""
        handler = self._service.service(handler_call_details)
        return None if handler is None or _is_generated(behavior_of(handler)) else handler


def _is_asynchronous(behavior: Callable[..., Any]) -> bool:
    """Whether a method is written with `async def`, also behind decorators that say what they wrap."""
    function = inspect.unwrap(behavior)
    if not inspect.isroutine(function) and not isinstance(function, functools.partial):
        function = type(function).__call__  # an object that is called
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _is_generated(behavior: Callable[..., Any]) -> bool:
    """Whether a method is inherited from the generated base, where all it does is raise NotImplementedError."""
    return getattr(behavior, "__module__", "").endswith("_pb2_grpc")
