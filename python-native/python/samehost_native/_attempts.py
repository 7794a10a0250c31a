"""Retries of calls."""

import os
import random
import threading

from samehost_native._common import NO_SERVER, Outcome

MOST_ATTEMPTS = 5
"""The attempts of a call that no server has seen. gRFC A6 retries it once. When a server is replaced under load, a
second connection may be closed too."""

_FIRST_SECONDS = 0.02
_MOST_SECONDS = 0.5
_BUSY_SECONDS = 0.005
"""The pause if the backlog of the server is full. The server accepts connections as soon as it runs."""

_MOST_BUSY = 400
"""The attempts with a full backlog before the call fails: 2 s."""


class Backoff:
    """The pauses between attempts to connect."""

    def __init__(self) -> None:
        self._next = _FIRST_SECONDS
        self._busy = 0

    def seconds(self, error: OSError, left: float | None, *, waits: bool) -> float | None:
        """Returns the seconds to wait after an error, or None if the call fails.

        Args:
            error: the error of the attempt.
            left: seconds until the deadline. None means no deadline.
            waits: whether the call waits for a server (wait-for-ready).
        """
        if isinstance(error, BlockingIOError) and self._busy < _MOST_BUSY:
            self._busy += 1
            pause = _BUSY_SECONDS
        elif not waits:
            return None
        else:
            pause = self._next * random.uniform(0.8, 1.2)  # noqa: S311
            self._next = min(self._next * 1.6, _MOST_SECONDS)
        return pause if left is None else max(0.0, min(pause, left))

    def pause(self, error: OSError, closed: threading.Event, left: float | None, *, waits: bool) -> bool:
        """Waits after an error. Returns False if the call fails or its channel is closed."""
        seconds = self.seconds(error, left, waits=waits)
        return seconds is not None and not closed.wait(seconds)


def unavailable(error: OSError, path: str) -> Outcome:
    """Returns the outcome of a call that cannot connect."""
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return (14, f"cannot connect to {path}: {reason}", None, [], [], NO_SERVER)
