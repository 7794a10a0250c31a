"""The engine in an event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until_news(poll: Callable[["asyncio.Future[None]"], T | None]) -> T:
    """Asks the engine until it has an answer, and waits for its news in between.

    Args:
        poll: returns the answer; or None, and has the engine resolve the future when there is news.
    """
    loop = asyncio.get_running_loop()
    while True:
        news: asyncio.Future[None] = loop.create_future()
        if (answer := poll(news)) is not None:
            return answer
        await news
