"""Receives the request of a call that has exactly one."""

from typing import TYPE_CHECKING, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError

if TYPE_CHECKING:
    from typing import Any

    from grpclib.server import Stream

Request = TypeVar("Request")


async def the_request(stream: "Stream[Request, Any]") -> Request:
    """Receive the request, or fail the call if it has none. grpclib does not check this."""
    request = await stream.recv_message()
    if request is None:
        raise GRPCError(Status.INTERNAL, "the call ended without its request")
    return request
