"""Adds the servicers of users to a server and finds the names of their services."""

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
        ServiceError: an object is not derived from a generated servicer, has methods of the wrong kind, or serves the
            same service as another one.
    """
    adding = _Adding(server)
    for servicer in servicers:
        for base, add in _generated(servicer):
            before = len(adding.names)
            add(servicer, adding)
            for name in adding.names[before:]:
                if name in adding.names[:before]:
                    raise ServiceError(f"cannot serve {name}: two servicers serve it; leave one out")
                _refuse_other_kind(servicer, base, name, asynchronous=asynchronous)
    return adding.names


def _generated(servicer: object) -> Sequence[tuple[type, Callable[[object, Any], None]]]:
    """Returns the generated base classes of a servicer, each with its `add_...Servicer_to_server`."""
    found = [
        (base, function)
        for base in type(servicer).__mro__
        if (function := getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server", None))
    ]
    if not found:
        raise ServiceError(
            f"invalid service {servicer!r}: use an instance of a class that is derived from a generated ...Servicer"
        )
    return found


def _refuse_other_kind(servicer: object, base: type, service: str, *, asynchronous: bool) -> None:
    for method in vars(base):
        behavior = getattr(servicer, method)
        if method.startswith("_") or not callable(behavior) or _is_generated(behavior):
            continue
        if _is_asynchronous(behavior) != asynchronous:
            kind, remedy = ("def", "Server") if asynchronous else ("async def", "aio.Server")
            raise ServiceError(
                f"cannot serve {service}/{method}: it is written with {kind!r}; use samehost_server.{remedy}"
            )


class _Adding:
    """Replaces the server in a generated function, and collects the names of the services that it adds."""

    def __init__(self, server: grpc.Server | grpc.aio.Server) -> None:
        self._server = server
        self.names: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Adds the methods that the servicer implements. The server answers UNIMPLEMENTED for the others.

        Stubs of grpcio-tools before 1.64 call only this method, so it collects the names.
        """
        self._server.add_generic_rpc_handlers([_Written(handler) for handler in handlers])
        self.names += [handler.service_name() for handler in handlers if isinstance(handler, grpc.ServiceRpcHandler)]

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Handler]) -> None:
        """Adds the methods that the servicer implements, as above."""
        written = {method: handler for method, handler in handlers.items() if not _is_generated(behavior_of(handler))}
        self._server.add_registered_method_handlers(service, written)


class _Written(grpc.GenericRpcHandler):
    """A service without the methods that its servicer inherits from the generated base class."""

    def __init__(self, service: grpc.GenericRpcHandler) -> None:
        self._service = service

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Implements grpc.GenericRpcHandler."""
        handler = self._service.service(handler_call_details)
        return None if handler is None or _is_generated(behavior_of(handler)) else handler


def _is_asynchronous(behavior: Callable[..., Any]) -> bool:
    """Whether a method is written with `async def`, even behind decorators that set `__wrapped__`."""
    function = inspect.unwrap(behavior)
    if not inspect.isroutine(function) and not isinstance(function, functools.partial):
        function = type(function).__call__  # a callable object
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _is_generated(behavior: Callable[..., Any]) -> bool:
    """Whether a method is inherited from the generated base class, where it only raises NotImplementedError."""
    return getattr(behavior, "__module__", "").endswith("_pb2_grpc")
