"""One kind of error for a failed call, where grpclib has several."""

import contextlib
from collections.abc import Iterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import ProtocolError


@contextlib.contextmanager
def statuses() -> Iterator[None]:
    """Surrounds calls, and makes every way in which one fails a GRPCError with the status of that name.

    A call that is cancelled stays asyncio's CancelledError, which must reach the task.
    """
    try:
        yield
    except TimeoutError as error:  # first, as it is an OSError too
        raise GRPCError(Status.DEADLINE_EXCEEDED, "the deadline of the call is over") from error
    except (StreamTerminatedError, ProtocolError, OSError) as error:
        raise GRPCError(Status.UNAVAILABLE, str(error)) from error
    except AssertionError as error:  # which is how grpclib refuses a unary call that ends well and has no response
        raise GRPCError(Status.INTERNAL, str(error) or "the call ended with OK and without its response") from error
