"""grpc.health.v1.Health for both kinds of server (grpc/grpc doc/health-checking.md).

This module replaces the servicers of grpcio-health-checking. The synchronous one holds its lock while it sends, and
takes the lock in grpc's only event thread when a watch is cancelled. If both happen at once, the server hangs, even
while it stops (grpc/grpc 43403). Its watches also outlast a shutdown, so that one watch takes the whole grace. Here no
message is sent under a lock, and a shutdown ends every watch after NOT_SERVING.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from samehost_common import OptionError
from samehost_server._workers import Workers

SERVICE_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
METHODS = (f"/{SERVICE_NAME}/Check", f"/{SERVICE_NAME}/Watch")

_MOST_WORKERS = 1000
"""Each check and each watch in progress has a worker, so that no check waits for calls or watches."""


class Statuses:
    """The status of each service by name. The empty name stands for the whole server."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self.ended = False

    def serve(self, services: Iterable[str]) -> None:
        """Adds services with the status SERVING."""
        self._serving.update(dict.fromkeys(services, True))

    def set(self, service: str, *, serving: bool) -> None:
        """Sets the status of a service to SERVING or NOT_SERVING.

        Raises:
            OptionError: the server has no such service.
        """
        if service not in self._serving:
            raise OptionError(f"invalid service {service!r}: use one of {', '.join(map(repr, self._serving))}")
        self._serving[service] = serving

    def fault(self, service: str) -> str | None:
        """Returns why a check of the service fails; None if it succeeds."""
        return None if service in self._serving else f"this server has no service {service!r}"

    def response(self, service: str) -> health_pb2.HealthCheckResponse:
        """Returns the status of a service."""
        serving = self._serving.get(service)
        if serving is None:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        if self.ended or not serving:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


class Health(health_pb2_grpc.HealthServicer):
    """Health for a synchronous server."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._changed = threading.Condition()
        self._workers = Workers(_MOST_WORKERS, "samehost-health")
        # These methods have their own pool. In grpc's pool, a call that has not sent its message yet occupies a worker,
        # so a client could block all health checks with enough of such calls.
        self.Check = _in_pool(self._check, self._workers)  # type: ignore[method-assign]
        self.Watch = _in_pool(self._watch, self._workers)  # type: ignore[method-assign]

    def tell(self) -> None:
        """Makes all watches read the statuses again."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Sets everything to NOT_SERVING for good, and ends all watches."""
        self._statuses.ended = True
        self.tell()

    def close(self) -> None:
        """Lets the threads end."""
        self._workers.shutdown()

    def _check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answers with the status or with NOT_FOUND."""
        if fault := self._statuses.fault(request.service):
            context.abort(grpc.StatusCode.NOT_FOUND, fault)
        return self._statuses.response(request.service)

    def _watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Sends the status and each change of it, until the server ends."""
        last = self._statuses.response(request.service)
        yield last
        if not context.add_callback(self.tell):
            return

        def has_news() -> bool:
            return self._statuses.ended or not context.is_active() or self._statuses.response(request.service) != last

        ended = False
        while context.is_active() and not ended:
            with self._changed:
                self._changed.wait_for(has_news)
            ended = self._statuses.ended  # read before the response, so that the last response is the final status
            if (now := self._statuses.response(request.service)) != last:
                last = now
                yield last


class AsyncHealth(health_pb2_grpc.HealthServicer):
    """Health for an asyncio server."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Makes all watches read the statuses again. Call it in the event loop."""
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Sets everything to NOT_SERVING for good, and ends all watches."""
        self._statuses.ended = True
        self.tell()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Answers with the status or with NOT_FOUND."""
        if fault := self._statuses.fault(request.service):
            await context.abort(grpc.StatusCode.NOT_FOUND, fault)
        return self._statuses.response(request.service)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Sends the status and each change of it, until the server ends."""
        last = None
        while True:
            changed, ended = self._changed, self._statuses.ended
            if (now := self._statuses.response(request.service)) != last:
                last = now
                yield last
            if ended:
                return
            await changed.wait()


def _in_pool(behavior: Any, workers: Workers) -> Any:
    """Returns the method with an attribute that makes grpc run it in a pool of its own."""

    def run(request: Any, context: grpc.ServicerContext) -> Any:
        return behavior(request, context)

    run.experimental_thread_pool = workers  # type: ignore[attr-defined]
    return run
