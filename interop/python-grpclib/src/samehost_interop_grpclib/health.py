"""grpc.health.v1.Health (grpc/grpc doc/health-checking.md).

grpclib has one too, whose watches never end, so that each would cost a server that stops its whole grace.
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
    """Says SERVING of each of the services and, by the empty name, of the server as a whole, until `end`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Says NOT_SERVING of everything for good, and ends all watches."""
        self._ended.set()

    async def Check(self, stream: "HealthStream") -> None:
        """Answers with the status, or NOT_FOUND."""
        request = await the_request(stream)
        if request.service not in self._services:
            raise GRPCError(Status.NOT_FOUND, f"no service {request.service!r} is served here")
        await stream.send_message(self._response(request.service))

    async def Watch(self, stream: "HealthStream") -> None:
        """Sends the status, and once more when the server ends."""
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
