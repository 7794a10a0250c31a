"""Waiting for the engine in an event loop."""

import asyncio
import itertools
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_MOST_READY = 64
"""How many answers may be ready before a task lets others run. Otherwise, a stream of small messages would block the
loop while its window is open, for seconds."""

_polls = itertools.count(1)


async def let_others_run() -> None:
    """Lets other tasks run from time to time. Call it before each poll of the engine."""
    if next(_polls) % _MOST_READY == 0:
        await asyncio.sleep(0)


async def until_news(poll: Callable[["asyncio.Future[None]"], T | None]) -> T:
    """Polls the engine until it returns an answer. Between polls, waits until the engine resolves the future.

    Args:
        poll: returns the answer, or None. After None, the engine resolves the future when another poll can succeed.
    """
    await let_others_run()
    loop = asyncio.get_running_loop()
    while True:
        news: asyncio.Future[None] = loop.create_future()
        if (answer := poll(news)) is not None:
            return answer
        await news
