"""Unary calls that may be made again are, until one is answered or the deadline is there.

grpc's own retry policy (gRFC A6, a service config) gives up as soon as the first byte of a response has arrived: with a
server that was killed again and again under load, up to seven calls were lost each time, most of them of 1 MiB. What a
unary call has received in part nobody has seen yet, so here it is made again all the same, and none is lost.
"""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc

_FIRST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 0.5
"""As the channel's own reconnects: a server on the same machine is soon there again, and dialling is cheap."""


class Methods:
    """Names of methods, `package.Service/Method`, or `package.Service` for all of a service's."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def __contains__(self, path: str | bytes) -> bool:
        """Whether a call's path is that of one of the methods."""
        name = (path.decode() if isinstance(path, bytes) else path).removeprefix("/")
        return name in self._names or name.partition("/")[0] in self._names


class _CallDetails(NamedTuple):
    method: Any
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class RetryInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Makes calls of idempotent methods again that fail with UNAVAILABLE; only those that have a deadline.

    A call that was in progress when its server died may have taken effect, so name no method that must not do so twice.
    """

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Calls until there is an answer that is not UNAVAILABLE, or no time."""
        if client_call_details.method not in self._methods:
            return continuation(client_call_details, request)
        for details, pause in _attempts(client_call_details):
            call = continuation(details, request)
            if call.code() is not grpc.StatusCode.UNAVAILABLE or pause is None:
                return call
            threading.Event().wait(pause)
        raise AssertionError  # the last attempt has no pause


class AsyncRetryInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Does what RetryInterceptor does, on an asyncio channel."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Calls until there is an answer that is not UNAVAILABLE, or no time."""
        if client_call_details.method not in self._methods:
            return await continuation(client_call_details, request)
        for details, pause in _attempts(client_call_details):
            call = await continuation(details, request)
            if await call.code() is not grpc.StatusCode.UNAVAILABLE or pause is None:
                return call
            await asyncio.sleep(pause)
        raise AssertionError  # the last attempt has no pause


def _attempts(details: Any) -> Iterator[tuple[Any, float | None]]:
    """The details of each attempt, which waits for a server, and the pause after it; None after the last one."""
    if details.timeout is None:
        yield details, None
        return
    deadline = time.monotonic() + details.timeout
    most = _FIRST_PAUSE_SECONDS
    while True:
        left = deadline - time.monotonic()
        pause = random.uniform(0, most)  # noqa: S311 - so that callers do not come all at once
        attempt = _with_timeout(details, max(left, 0.001))
        if left <= pause:
            yield attempt, None
            return
        yield attempt, pause
        most = min(2 * most, _MOST_PAUSE_SECONDS)


def _with_timeout(details: Any, seconds: float) -> Any:
    if isinstance(details, grpc.aio.ClientCallDetails):
        return grpc.aio.ClientCallDetails(details.method, seconds, details.metadata, details.credentials, True)
    return _CallDetails(
        details.method, seconds, details.metadata, details.credentials, True, getattr(details, "compression", None)
    )
