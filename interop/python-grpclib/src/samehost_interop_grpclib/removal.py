"""Detects that someone removed or replaced the socket of a running server."""

import asyncio
from collections.abc import Callable

_PACE_SECONDS = 1.0
"""Seconds between checks, about as often as waiting clients try to connect. A check is one lstat(2)."""


async def removal(is_lost: Callable[[], bool]) -> None:
    """Return when the socket is removed or replaced. Can be cancelled.

    It polls, because inotify(7) reports only the changes that this machine makes, and not those that the other side
    makes in a volume shared with a virtual machine.
    """
    while True:
        await asyncio.sleep(_PACE_SECONDS)
        if is_lost():
            return
