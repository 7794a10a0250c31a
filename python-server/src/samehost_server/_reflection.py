"""Reflection, with which tools such as grpcurl find the services of a server (grpc/grpc doc/server-reflection.md)."""

from collections.abc import Iterable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""Newer tools call v1, older ones v1alpha. Both have the same messages on the wire. grpcio-reflection 1.85.1 has only
the older name."""

_METHOD = "ServerReflectionInfo"


def add_reflection(server: Any, services: Iterable[str], *, asynchronous: bool) -> None:
    """Adds reflection under both of its names. It lists the given services and itself.

    Args:
        server: the grpc server or its replacement.
        services: the full names of the services.
        asynchronous: whether the server is an asyncio server.
    """
    kind = reflection.aio.ReflectionServicer if asynchronous else reflection.ReflectionServicer
    servicer = kind([*services, *SERVICE_NAMES])
    methods = {
        _METHOD: grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
    }
    for name in SERVICE_NAMES:
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, methods)])
