"""Unary calls that may be made again are, until one is answered or the deadline is there.

grpc's own retry policy (gRFC A6, a service config) gives up as soon as the first byte of a response has arrived: with a
server that was killed again and again under load, up to seven calls were lost each time, most of them of 1 MiB. What a
unary call has received in part nobody has seen yet, so here it is made again all the same, and none is lost.
"""

import asyncio
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf import descriptor_pool

from samehost_proto import OptionError
from samehost_proto.options import as_list

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_FIRST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 0.5
"""As the channel's own reconnects: a server on the same machine is soon there again, and dialling is cheap."""


class Methods:
    """Names of methods, `package.Service/Method`, or `package.Service` for all of a service's; `/` in front is allowed.

    Raises:
        OptionError: a name can't be one, or is that of no method of a service that is known by its stubs.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {_checked(name) for name in as_list("idempotent", names)}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._names)

    def __contains__(self, path: str | bytes) -> bool:
        """Whether a call's path is that of one of the methods."""
        name = (path.decode() if isinstance(path, bytes) else path).removeprefix("/")
        return name in self._names or name.partition("/")[0] in self._names


def _checked(name: object) -> str:
    """The name as a call's path has it, less the slash in front."""
    service, slash, method = str(name).removeprefix("/").partition("/")
    if not isinstance(name, str) or not _NAME.fullmatch(service) or bool(slash) != bool(method) or "/" in method:
        raise OptionError(
            f"idempotent has {name!r}; give package.Service/Method, or package.Service for all its methods"
        )
    try:
        known = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        if "." not in service:
            raise OptionError(f"idempotent has {name!r}, a service without its package; give package.{name}") from None
        return f"{service}{slash}{method}"  # a service without stubs, or whose stubs are imported later
    if method and method not in known.methods_by_name:
        raise OptionError(f"idempotent has {name!r}; {service} has {', '.join(known.methods_by_name)}")
    return f"{service}{slash}{method}"


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
