"""Converts the errors of a failed call to one type, where grpclib has several."""

import contextlib
from collections.abc import Iterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import ProtocolError


@contextlib.contextmanager
def statuses() -> Iterator[None]:
    """Convert every failure of a call in this block to a GRPCError with the matching status.

    A cancelled call still raises asyncio's CancelledError, because the task must receive it.
    """
    try:
        yield
    except TimeoutError as error:  # first, because TimeoutError is an OSError
        raise GRPCError(Status.DEADLINE_EXCEEDED, "the deadline of the call is over") from error
    except (StreamTerminatedError, ProtocolError, OSError) as error:
        raise GRPCError(Status.UNAVAILABLE, str(error)) from error
    except AssertionError as error:  # grpclib raises this if a unary call ends with OK but without a response
        raise GRPCError(Status.INTERNAL, str(error) or "the call ended with OK but without a response") from error
