"""Interceptors of grpc.aio around the calls of a channel."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata

Continuation = Callable[[ClientCallDetails, Any], Any]


def chain(interceptors: Sequence[Any], kind: str, start: Continuation) -> Continuation:
    """Returns `start` with the interceptors of one kind of call around it. The first one is the outermost."""
    for interceptor in reversed(interceptors):
        start = functools.partial(getattr(interceptor, f"intercept_{kind}"), _awaitable(start))
    return start


def _awaitable(start: Continuation) -> Continuation:
    async def continuation(details: ClientCallDetails, request: Any) -> Any:
        call = start(details, request)
        return await call if asyncio.iscoroutine(call) else call

    return continuation


class InterceptedCall(grpc.aio.Call):
    """A call with interceptors. They start the call or answer it themselves.

    Args:
        starting: the coroutine of the first interceptor, which returns a call, a response or an iterator of responses.
        started: the calls that the interceptors have started. If they return an iterator, it is of the last one.
    """

    def __init__(self, starting: Any, started: Sequence[grpc.aio.Call]) -> None:
        self._starting = asyncio.ensure_future(starting)
        self._started = started

    def _known(self, found: Any) -> grpc.aio.Call | None:
        """Returns the call of what the first interceptor returned. Returns None for a response."""
        if isinstance(found, grpc.aio.Call):
            return found
        return self._started[-1] if self._started and hasattr(found, "__aiter__") else None

    async def _call(self) -> Any:
        try:
            return await asyncio.shield(self._starting)
        except asyncio.CancelledError:
            if not self._starting.done():
                self._starting.cancel()
            raise

    async def _ask(self, method: str) -> Any:
        try:
            call = self._known(await self._call())
        except grpc.aio.AioRpcError as error:
            return getattr(error, method)()
        return await getattr(call, method)() if call is not None else _ANSWERED[method]

    def cancel(self) -> bool:
        """See grpc.aio.Call."""
        call = self._known(self._finished())
        if call is not None:
            stopped: bool = call.cancel()
            return stopped
        return not self._starting.done() and self._starting.cancel()

    def _finished(self) -> Any:
        if self._starting.done() and not self._starting.cancelled() and not self._starting.exception():
            return self._starting.result()
        return None

    def cancelled(self) -> bool:
        """See grpc.aio.Call."""
        call = self._known(self._finished())
        return call.cancelled() if call is not None else self._starting.cancelled()

    def done(self) -> bool:
        """See grpc.aio.Call."""
        call = self._known(self._finished())
        return call.done() if call is not None else self._starting.done()

    def time_remaining(self) -> float | None:
        """See grpc.aio.Call."""
        call = self._known(self._finished())
        return call.time_remaining() if call is not None else None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """See grpc.aio.Call."""

        def started(_: Any) -> None:
            call = self._known(self._finished())
            if call is not None:
                call.add_done_callback(lambda _: callback(self))
            else:
                callback(self)

        self._starting.add_done_callback(started)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """See grpc.RpcContext."""
        self.add_done_callback(lambda _: callback())
        return True

    def is_active(self) -> bool:
        """See grpc.RpcContext."""
        return not self.done()

    async def initial_metadata(self) -> Metadata:
        """See grpc.aio.Call."""
        found: Metadata = await self._ask("initial_metadata")
        return found

    async def trailing_metadata(self) -> Metadata:
        """See grpc.aio.Call."""
        found: Metadata = await self._ask("trailing_metadata")
        return found

    async def code(self) -> grpc.StatusCode:
        """See grpc.aio.Call."""
        found: grpc.StatusCode = await self._ask("code")
        return found

    async def details(self) -> str:
        """See grpc.aio.Call."""
        found: str = await self._ask("details")
        return found

    async def debug_error_string(self) -> str:
        """Returns the details."""
        return await self.details()

    async def wait_for_connection(self) -> None:
        """See grpc.aio.Call."""
        call = await self._call()
        if isinstance(call, grpc.aio.Call):
            await call.wait_for_connection()

    def __await__(self) -> Generator[Any, None, Any]:
        """Waits for the response."""
        call = yield from self._call().__await__()
        if isinstance(call, grpc.aio.Call):
            return (yield from call.__await__())  # type: ignore[attr-defined]
        return call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        async for response in await self._call():
            yield response

    async def read(self) -> Any:
        """See grpc.aio.StreamStreamCall."""
        return await (await self._call()).read()

    async def write(self, request: Any) -> None:
        """See grpc.aio.StreamStreamCall."""
        await (await self._call()).write(request)

    async def done_writing(self) -> None:
        """See grpc.aio.StreamStreamCall."""
        await (await self._call()).done_writing()


_ANSWERED = {
    "initial_metadata": Metadata(),
    "trailing_metadata": Metadata(),
    "code": grpc.StatusCode.OK,
    "details": "",
}
"""The metadata and status of a call that an interceptor answered itself."""
