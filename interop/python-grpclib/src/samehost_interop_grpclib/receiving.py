"""What a handler of a call with a single request begins with."""

from typing import TYPE_CHECKING, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError

if TYPE_CHECKING:
    from typing import Any

    from grpclib.server import Stream

Request = TypeVar("Request")


async def the_request(stream: "Stream[Request, Any]") -> Request:
    """Receives the request of a call that has one; grpclib leaves it open whether it comes."""
    request = await stream.recv_message()
    if request is None:
        raise GRPCError(Status.INTERNAL, "the call ended without its request")
    return request
