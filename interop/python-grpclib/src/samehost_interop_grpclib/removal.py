"""Notices that someone has removed the socket of a server that serves, or put something else in its place."""

import asyncio
from collections.abc import Callable

_PACE_SECONDS = 1.0
"""How often to look: about as often as clients dial that wait for a server. A look is one lstat(2)."""


async def removal(is_lost: Callable[[], bool]) -> None:
    """Returns when the socket is lost; until then it can be cancelled.

    It looks, as inotify(7) would only hear of what happens on this machine, not of what the other side of a volume
    that is shared with a virtual machine does.
    """
    while True:
        await asyncio.sleep(_PACE_SECONDS)
        if is_lost():
            return
