"""When a call is tried again."""

import random
import threading

from samehost_native._common import NO_SERVER, Outcome

MOST_ATTEMPTS = 5
"""How often a call is made that no server has seen. gRFC A6 makes it again once; while a server is replaced under load,
a second connection may be closed, too."""

_FIRST_SECONDS = 0.02
_MOST_SECONDS = 0.5
_BUSY_SECONDS = 0.005
"""How long to wait for a server whose queue of connections is full; it accepts them as soon as it runs."""

_MOST_BUSY = 400
"""So often, which is 2 s, before the call fails."""


class Backoff:
    """The pauses between the attempts to reach a server."""

    def __init__(self) -> None:
        self._next = _FIRST_SECONDS
        self._busy = 0

    def seconds(self, error: OSError, left: float | None, *, waits: bool) -> float | None:
        """Returns how long to wait after an error; None where the call fails.

        Args:
            error: of the attempt.
            left: seconds until the deadline.
            waits: the call waits for a server (wait-for-ready).
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
        """Waits after an error; False where the call fails, or its channel is closed."""
        seconds = self.seconds(error, left, waits=waits)
        return seconds is not None and not closed.wait(seconds)


def unavailable(error: OSError, path: str) -> Outcome:
    """The outcome of a call that reached no server."""
    return (14, f"cannot connect to {path}: {error.strerror or error}", None, [], [], NO_SERVER)
