"""Waiting for the engine in an event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until_news(poll: Callable[["asyncio.Future[None]"], T | None]) -> T:
    """Polls the engine until it returns an answer. Between polls, waits until the engine resolves the future.

    Args:
        poll: returns the answer, or None. After None, the engine resolves the future when another poll can succeed.
    """
    loop = asyncio.get_running_loop()
    while True:
        news: asyncio.Future[None] = loop.create_future()
        if (answer := poll(news)) is not None:
            return answer
        await news
