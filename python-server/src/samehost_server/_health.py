"""grpc.health.v1.Health for both kinds of server (grpc/grpc doc/health-checking.md).

grpcio-health-checking has one too. Its synchronous servicer holds its lock while it sends, and takes it
in grpc's only event thread when a watcher leaves; when both happen at once the server hangs, even on its
way out (grpc/grpc 43403). And its watches outlast a shutdown, so that one of them costs the whole grace.
Here nothing is sent under a lock, and a shutdown ends every watch when it has said NOT_SERVING.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CHECK = "/grpc.health.v1.Health/Check"
SERVICE_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Statuses:
    """What is known of each service by name; the empty name is the server as a whole."""

    def __init__(self) -> None:
        self._serving: set[str] = set()
        self.ended = False

    def serve(self, services: Iterable[str]) -> None:
        """Says SERVING of these services."""
        self._serving.update(services)

    def fault(self, service: str) -> str | None:
        """Why a check of the service has no answer."""
        return None if service in self._serving else f"no service {service!r} is served here"

    def response(self, service: str) -> health_pb2.HealthCheckResponse:
        """The status of a service."""
        if service not in self._serving:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        if self.ended:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


class Health(health_pb2_grpc.HealthServicer):
    """Health for a synchronous server; a watch holds a worker, as every stream does."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._changed = threading.Condition()

    def end(self) -> None:
        """Says NOT_SERVING of everything for good, and ends all watches."""
        self._statuses.ended = True
        self._wake()

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answers with the status, or NOT_FOUND."""
        if fault := self._statuses.fault(request.service):
            context.abort(grpc.StatusCode.NOT_FOUND, fault)
        return self._statuses.response(request.service)

    def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Sends the status, and once more when the server ends."""
        first = self._statuses.response(request.service)
        yield first
        if context.add_callback(self._wake):
            with self._changed:
                self._changed.wait_for(lambda: self._statuses.ended or not context.is_active())
            if (last := self._statuses.response(request.service)) != first:
                yield last

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class AsyncHealth(health_pb2_grpc.HealthServicer):
    """Health for an asyncio server."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Says NOT_SERVING of everything for good, and ends all watches."""
        self._statuses.ended = True
        self._ended.set()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Answers with the status, or NOT_FOUND."""
        if fault := self._statuses.fault(request.service):
            await context.abort(grpc.StatusCode.NOT_FOUND, fault)
        return self._statuses.response(request.service)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Sends the status, and once more when the server ends."""
        first = self._statuses.response(request.service)
        yield first
        await self._ended.wait()
        if (last := self._statuses.response(request.service)) != first:
            yield last
