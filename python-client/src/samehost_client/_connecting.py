"""The result of `aio.connect`: await it, or use it in `async with`."""

import functools
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec

import grpc

_Options = ParamSpec("_Options")


class Connecting(Coroutine[Any, Any, grpc.aio.Channel]):
    """A pending channel. Await it, or use it as an asynchronous context manager that closes the channel."""

    def __init__(self, connecting: Coroutine[Any, Any, grpc.aio.Channel]) -> None:
        self._connecting = connecting

    def __await__(self) -> Generator[Any, Any, grpc.aio.Channel]:
        return self._connecting.__await__()

    def send(self, value: Any) -> Any:
        """Implements Coroutine, so that asyncio can make a task of it."""
        return self._connecting.send(value)

    def throw(self, *error: Any) -> Any:
        """Implements Coroutine."""
        return self._connecting.throw(*error)

    def close(self) -> None:
        """Implements Coroutine."""
        self._connecting.close()

    async def __aenter__(self) -> grpc.aio.Channel:
        self._channel = await self
        return self._channel

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    if not TYPE_CHECKING:  # a type checker knows that this is not a channel

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"cannot use {name!r} of a pending channel: write `channel = await aio.connect(...)` or "
                f"`async with aio.connect(...) as channel`"
            )


def enterable(
    connect: Callable[_Options, Coroutine[Any, Any, grpc.aio.Channel]],
) -> Callable[_Options, Connecting]:
    """Decorates a coroutine function so that its result also works in `async with`."""

    @functools.wraps(connect)
    def connecting(*arguments: _Options.args, **options: _Options.kwargs) -> Connecting:
        return Connecting(connect(*arguments, **options))

    return connecting
