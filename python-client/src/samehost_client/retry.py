"""Retries of idempotent unary calls, until one is answered or the deadline ends.

grpc's own retry policy (gRFC A6, a service config) does not retry once the first byte of a response has arrived. With a
server that was killed repeatedly under load, it lost up to seven calls each time, most of them of 1 MiB. The caller of
a unary call has not seen a partial response, so this module retries such a call too, and none is lost.
"""

import asyncio
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from samehost_common import OptionError
from samehost_common.options import as_list

if TYPE_CHECKING:
    _Future = grpc.Future[Any]
else:  # it is generic only in its stubs
    _Future = grpc.Future

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_FIRST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 5.0
"""The pauses are for servers that answer UNAVAILABLE. Without a server, each attempt waits for one by itself."""

_BUDGET = 1000
"""The retries that a channel can make in a row: as many as it has calls in progress when their server dies."""

_SUCCESSES_FOR_A_RETRY = 10
"""The successes that earn another retry, so that retries add at most a tenth to the calls of an overloaded server (as
the throttling of gRFC A6 does)."""

_PUSHBACK = "grpc-retry-pushback-ms"
"""The metadata with which a server sets the pause before a retry. A value that is not a number >= 0 forbids it (A6)."""


class Methods:
    """A set of methods: `package.Service/Method`, or `package.Service` for all its methods. A leading `/` is allowed.

    Raises:
        OptionError: a name is invalid, or the stubs of its service have no such method.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {_checked(name) for name in as_list("idempotent", names)}

    def __bool__(self) -> bool:
        """Whether the set has a method."""
        return bool(self._names)

    def __contains__(self, path: str | bytes) -> bool:
        """Whether the path of a call names one of the methods."""
        name = (path.decode() if isinstance(path, bytes) else path).removeprefix("/")
        return name in self._names or name.partition("/")[0] in self._names


def _checked(name: object) -> str:
    """Checks a name and returns it without its leading slash."""
    service, slash, method = str(name).removeprefix("/").partition("/")
    if not isinstance(name, str) or not _NAME.fullmatch(service) or bool(slash) != bool(method) or "/" in method:
        raise OptionError(
            f"invalid idempotent {name!r}: use package.Service/Method, or package.Service for all its methods"
        )
    if (known := _find_service(service)) is None:
        parent, _, last = service.rpartition(".")
        if not parent:
            raise OptionError(f"invalid idempotent {name!r}: the package is missing; use package.{name}")
        if _find_service(parent):
            raise OptionError(f"invalid idempotent {name!r}: {parent} is a service; use {parent}/{last}")
        # Otherwise the stubs are imported later, or do not exist.
    elif method and method not in known.methods_by_name:
        raise OptionError(f"invalid idempotent {name!r}: use a method of {service}: {', '.join(known.methods_by_name)}")
    return f"{service}{slash}{method}"


def _find_service(name: str) -> ServiceDescriptor | None:
    try:
        return descriptor_pool.Default().FindServiceByName(name)
    except KeyError:
        return None


class _CallDetails(NamedTuple):
    method: Any
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class Budget:
    """The retries that a channel has left. Its calls share it, in all threads."""

    def __init__(self) -> None:
        self._left = self._most = _BUDGET * _SUCCESSES_FOR_A_RETRY
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes a retry from the budget; False if none is left."""
        with self._lock:
            if self._left < _SUCCESSES_FOR_A_RETRY:
                return False
            self._left -= _SUCCESSES_FOR_A_RETRY
            return True

    def give(self) -> None:
        """Counts a call that succeeded."""
        with self._lock:
            self._left = min(self._left + 1, self._most)


class _Attempts:
    """The attempts of one call: their arguments, and whether another one follows."""

    def __init__(self, details: Any, budget: Budget) -> None:
        self._details = details
        self._budget = budget
        self._deadline = None if details.timeout is None else time.monotonic() + details.timeout
        self._is_retried = self._deadline is not None and details.wait_for_ready is not False
        self._metadata = None if details.metadata is None else tuple(details.metadata)  # it may be an iterator
        self._most = _FIRST_PAUSE_SECONDS
        self._failed: Any = None

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def next_details(self) -> Any:
        """Returns the details of the next attempt, which waits for a server."""
        if not self._is_retried:
            return self._details
        method, credentials = self._details.method, self._details.credentials
        if isinstance(self._details, grpc.aio.ClientCallDetails):
            metadata = None if self._metadata is None else grpc.aio.Metadata(*self._metadata)
            return grpc.aio.ClientCallDetails(method, self.seconds_left, metadata, credentials, True)
        compression = getattr(self._details, "compression", None)
        return _CallDetails(method, self.seconds_left, self._metadata, credentials, True, compression)

    def may_retry_after(self, call: Any, code: grpc.StatusCode) -> bool:
        """Whether another attempt may follow this one. If so, `pause` decides when."""
        if code is grpc.StatusCode.OK:
            self._budget.give()
        if code is not grpc.StatusCode.UNAVAILABLE or not self._is_retried:
            return False
        self._failed = call
        return True

    def pause(self, trailing: Any) -> float | None:
        """Returns the seconds to wait after an attempt with this trailing metadata; None if no other one follows."""
        # Not dict(trailing): it fails for the grpc.aio.Metadata of older versions.
        pushback = next((value for name, value in trailing or () if name == _PUSHBACK), None)
        if pushback is None:
            pause = random.uniform(0, self._most)  # noqa: S311 - so that callers do not retry all at once
            self._most = min(2 * self._most, _MOST_PAUSE_SECONDS)
        elif str(pushback).isdecimal():
            pause = int(pushback) / 1000
        else:
            return None
        return pause if pause < (self.seconds_left or 0) and self._budget.take() else None

    def outcome(self, call: Any, code: grpc.StatusCode) -> Any:
        """Returns the most useful attempt: instead of one that the deadline cut off, the one that failed before."""
        return self._failed if self._failed and code is grpc.StatusCode.DEADLINE_EXCEEDED else call


class RetryInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Retries calls of idempotent methods that fail with UNAVAILABLE, if they have a deadline.

    A call that was in progress when its server died may have taken effect, so list only methods that may do so twice. A
    call with `wait_for_ready=False` is not retried, because it has to fail at once without a server.
    """

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._budget = Budget()

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Makes attempts until the status is not UNAVAILABLE or the deadline ends."""
        if client_call_details.method not in self._methods:
            return continuation(client_call_details, request)
        attempts = _Attempts(client_call_details, self._budget)
        return _RetriedCall(lambda: continuation(attempts.next_details(), request), attempts)


class _RetriedCall(grpc.Call, _Future):
    """A call and its attempts. The last or most useful one is its outcome.

    A failed attempt starts the next one, so that no thread has to wait for it, and `.future()` returns at once.
    """

    def __init__(self, attempt: Callable[[], Any], attempts: _Attempts) -> None:
        self._attempt = attempt
        self._attempts = attempts
        self._changed = threading.Condition()
        self._current: Any = None
        self._pause: threading.Timer | None = None
        self._outcome: Any = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._is_cancelled = False
        self._start()

    def _start(self) -> None:
        with self._changed:
            if self._is_cancelled:
                return
            self._pause = None
            current = self._current = self._attempt()
        current.add_done_callback(self._end)

    def _end(self, call: Any) -> None:
        code = call.code()
        retries = self._attempts.may_retry_after(call, code)
        pause = self._attempts.pause(call.trailing_metadata()) if retries else None
        with self._changed:
            if self._is_cancelled:
                return
            if pause is not None:
                self._pause = threading.Timer(pause, self._start)
                self._pause.daemon = True
                self._pause.start()
                return
            self._outcome = self._attempts.outcome(call, code)
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def _ended(self, timeout: float | None = None) -> Any:
        """Waits for the outcome and returns it; None if the call was cancelled."""
        with self._changed:
            if not self._changed.wait_for(self.done, timeout):
                raise grpc.FutureTimeoutError
            return self._outcome

    def _ended_uncancelled(self, timeout: float | None) -> Any:
        outcome = self._ended(timeout)
        if outcome is None:
            raise grpc.FutureCancelledError
        return outcome

    def cancel(self) -> bool:
        """Implements grpc.Future."""
        with self._changed:
            if self.done():
                return False
            self._is_cancelled = True
            if self._pause:
                self._pause.cancel()
        self._current.cancel()
        self._tell()
        return True

    def cancelled(self) -> bool:
        """Implements grpc.Future."""
        return self._is_cancelled

    def running(self) -> bool:
        """Implements grpc.Future."""
        return not self.done()

    def done(self) -> bool:
        """Implements grpc.Future."""
        return self._is_cancelled or self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """Implements grpc.Future."""
        return self._ended_uncancelled(timeout).result()

    def exception(self, timeout: float | None = None) -> Any:
        """Implements grpc.Future."""
        return self._ended_uncancelled(timeout).exception()

    def traceback(self, timeout: float | None = None) -> Any:
        """Implements grpc.Future."""
        return self._ended_uncancelled(timeout).traceback()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Implements grpc.Future."""
        with self._changed:
            if not self.done():
                self._callbacks.append(fn)
                return
        fn(self)

    def is_active(self) -> bool:
        """Implements grpc.RpcContext."""
        return not self.done()

    def time_remaining(self) -> Any:
        """Implements grpc.RpcContext."""
        return self._attempts.seconds_left

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Implements grpc.RpcContext."""
        with self._changed:
            if self.done():
                return False
            self._callbacks.append(lambda _: callback())
            return True

    def initial_metadata(self) -> Any:
        """Implements grpc.Call."""
        return outcome.initial_metadata() if (outcome := self._ended()) else ()

    def trailing_metadata(self) -> Any:
        """Implements grpc.Call."""
        return outcome.trailing_metadata() if (outcome := self._ended()) else ()

    def code(self) -> Any:
        """Implements grpc.Call."""
        return outcome.code() if (outcome := self._ended()) else grpc.StatusCode.CANCELLED

    def details(self) -> Any:
        """Implements grpc.Call."""
        return outcome.details() if (outcome := self._ended()) else "the caller cancelled the call"


class AsyncRetryInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Does what RetryInterceptor does on an asyncio channel."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._budget = Budget()

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Makes attempts until the status is not UNAVAILABLE or the deadline ends."""
        if client_call_details.method not in self._methods:
            return await continuation(client_call_details, request)
        attempts = _Attempts(client_call_details, self._budget)
        while True:
            call = await continuation(attempts.next_details(), request)
            code = await call.code()
            retries = attempts.may_retry_after(call, code)
            pause = attempts.pause(await call.trailing_metadata()) if retries else None
            if pause is None:
                return attempts.outcome(call, code)
            await asyncio.sleep(pause)
