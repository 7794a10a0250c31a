"""A channel that is on its way, which may be awaited or entered."""

import functools
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec

import grpc

_Options = ParamSpec("_Options")


class Connecting(Coroutine[Any, Any, grpc.aio.Channel]):
    """A channel to be: await it, or use it as an asynchronous context manager, which closes the channel."""

    def __init__(self, connecting: Coroutine[Any, Any, grpc.aio.Channel]) -> None:
        self._connecting = connecting

    def __await__(self) -> Generator[Any, Any, grpc.aio.Channel]:
        return self._connecting.__await__()

    def send(self, value: Any) -> Any:
        """As a coroutine has it, so that it can be made a task."""
        return self._connecting.send(value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine has it."""
        return self._connecting.throw(*error)

    def close(self) -> None:
        """As a coroutine has it."""
        self._connecting.close()

    async def __aenter__(self) -> grpc.aio.Channel:
        self._channel = await self
        return self._channel

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    if not TYPE_CHECKING:  # what is no channel has none of its methods

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"no {name!r} before the channel is there: write `channel = await aio.connect(...)` or "
                f"`async with aio.connect(...) as channel`"
            )


def enterable(
    connect: Callable[_Options, Coroutine[Any, Any, grpc.aio.Channel]],
) -> Callable[_Options, Connecting]:
    """Lets what a coroutine function makes be entered, too."""

    @functools.wraps(connect)
    def connecting(*arguments: _Options.args, **options: _Options.kwargs) -> Connecting:
        return Connecting(connect(*arguments, **options))

    return connecting
