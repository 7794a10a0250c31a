"""Implements grpc.health.v1.Health (grpc/grpc doc/health-checking.md).

The watches of grpclib's own service never end. Each of them would keep a stopping server for its whole grace period.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_grpc import HealthBase
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from samehost_interop_grpclib.receiving import the_request

if TYPE_CHECKING:
    from grpclib.server import Stream

    HealthStream: TypeAlias = Stream[HealthCheckRequest, HealthCheckResponse]


class Health(HealthBase):
    """Report SERVING for each service, and for the whole server under the empty name, until `end`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Report NOT_SERVING for everything from now on, and end all watches."""
        self._ended.set()

    async def Check(self, stream: "HealthStream") -> None:
        """Return the status, or NOT_FOUND."""
        request = await the_request(stream)
        if request.service not in self._services:
            raise GRPCError(Status.NOT_FOUND, f"unknown service {request.service!r}")
        await stream.send_message(self._response(request.service))

    async def Watch(self, stream: "HealthStream") -> None:
        """Send the status, and send it again when the server stops."""
        request = await the_request(stream)
        await stream.send_message(first := self._response(request.service))
        await self._ended.wait()
        if (last := self._response(request.service)) != first:
            await stream.send_message(last)

    def _response(self, service: str) -> HealthCheckResponse:
        if service not in self._services:
            return HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        if self._ended.is_set():
            return HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING)
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)
