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
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from samehost_common import OptionError
from samehost_common.options import as_list

if TYPE_CHECKING:
    _Future = grpc.Future[Any]
else:  # generic in its stubs alone
    _Future = grpc.Future

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_FIRST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 5.0
"""The pauses are for servers that answer UNAVAILABLE; for one that is not there, each attempt waits itself."""

_BUDGET = 1000
"""Retries that a channel may always make: as many as there are calls in progress when their server dies."""

_SUCCESSES_FOR_A_RETRY = 10
"""Beyond the budget, retries add a tenth to the calls of a server that is overloaded (as in gRFC A6, throttling)."""

_PUSHBACK = "grpc-retry-pushback-ms"
"""By which a server says when to try again, and with what is no such number, that nobody must (gRFC A6)."""


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
    if (known := _find_service(service)) is None:
        parent, _, last = service.rpartition(".")
        if not parent:
            raise OptionError(f"idempotent has {name!r}, a service without its package; give package.{name}")
        if _find_service(parent):
            raise OptionError(f"idempotent has {name!r}, and {parent} is a service; give {parent}/{last}")
        # Else its stubs are imported later, or there are none.
    elif method and method not in known.methods_by_name:
        raise OptionError(f"idempotent has {name!r}; {service} has {', '.join(known.methods_by_name)}")
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
    """The retries that a channel has left; shared by its calls, in all threads."""

    def __init__(self) -> None:
        self._left = self._most = _BUDGET * _SUCCESSES_FOR_A_RETRY
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there was one left to take."""
        with self._lock:
            if self._left < _SUCCESSES_FOR_A_RETRY:
                return False
            self._left -= _SUCCESSES_FOR_A_RETRY
            return True

    def give(self) -> None:
        """A call has succeeded."""
        with self._lock:
            self._left = min(self._left + 1, self._most)


class _Attempts:
    """The attempts at one call: what each is made with, and whether there is another one."""

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
        """Until the deadline, if there is one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def next_details(self) -> Any:
        """What the next attempt is made with: it waits for a server."""
        if not self._is_retried:
            return self._details
        method, credentials = self._details.method, self._details.credentials
        if isinstance(self._details, grpc.aio.ClientCallDetails):
            metadata = None if self._metadata is None else grpc.aio.Metadata(*self._metadata)
            return grpc.aio.ClientCallDetails(method, self.seconds_left, metadata, credentials, True)
        compression = getattr(self._details, "compression", None)
        return _CallDetails(method, self.seconds_left, self._metadata, credentials, True, compression)

    def may_go_on_after(self, call: Any, code: grpc.StatusCode) -> bool:
        """Whether this attempt may have a next one, for which `pause` is to be asked."""
        if code is grpc.StatusCode.OK:
            self._budget.give()
        if code is not grpc.StatusCode.UNAVAILABLE or not self._is_retried:
            return False
        self._failed = call
        return True

    def pause(self, trailing: Any) -> float | None:
        """The seconds to wait after an attempt with this trailing metadata; None where it was the last."""
        # Pair by pair, as a dict of grpc.aio.Metadata fails with older versions.
        pushback = next((value for name, value in trailing or () if name == _PUSHBACK), None)
        if pushback is None:
            pause = random.uniform(0, self._most)  # noqa: S311 - so that callers do not come all at once
            self._most = min(2 * self._most, _MOST_PAUSE_SECONDS)
        elif str(pushback).isdecimal():
            pause = int(pushback) / 1000
        else:
            return None
        return pause if pause < (self.seconds_left or 0) and self._budget.take() else None

    def outcome(self, call: Any, code: grpc.StatusCode) -> Any:
        """The attempt that tells the caller most: not one that the deadline has cut, if another failed before."""
        return self._failed if self._failed and code is grpc.StatusCode.DEADLINE_EXCEEDED else call


class RetryInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Makes calls of idempotent methods again that fail with UNAVAILABLE; only those that have a deadline.

    A call that was in progress when its server died may have taken effect, so name no method that must not do so twice.
    A call with `wait_for_ready=False` is made once, as it is to fail at once where there is no server.
    """

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._budget = Budget()

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Calls until there is an answer that is not UNAVAILABLE, or no time."""
        if client_call_details.method not in self._methods:
            return continuation(client_call_details, request)
        attempts = _Attempts(client_call_details, self._budget)
        return _RetriedCall(lambda: continuation(attempts.next_details(), request), attempts)


class _RetriedCall(grpc.Call, _Future):
    """A call and its attempts, of which the last or most telling one is its outcome.

    An attempt that fails starts the next one, so nobody need wait for it: `.future()` returns at once.
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
        goes_on = self._attempts.may_go_on_after(call, code)
        pause = self._attempts.pause(call.trailing_metadata()) if goes_on else None
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
        """The outcome; None where the call was cancelled."""
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
        """As grpc.Future has it."""
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
        """As grpc.Future has it."""
        return self._is_cancelled

    def running(self) -> bool:
        """As grpc.Future has it."""
        return not self.done()

    def done(self) -> bool:
        """As grpc.Future has it."""
        return self._is_cancelled or self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """As grpc.Future has it."""
        return self._ended_uncancelled(timeout).result()

    def exception(self, timeout: float | None = None) -> Any:
        """As grpc.Future has it."""
        return self._ended_uncancelled(timeout).exception()

    def traceback(self, timeout: float | None = None) -> Any:
        """As grpc.Future has it."""
        return self._ended_uncancelled(timeout).traceback()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """As grpc.Future has it."""
        with self._changed:
            if not self.done():
                self._callbacks.append(fn)
                return
        fn(self)

    def is_active(self) -> bool:
        """As grpc.RpcContext has it."""
        return not self.done()

    def time_remaining(self) -> Any:
        """As grpc.RpcContext has it."""
        return self._attempts.seconds_left

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """As grpc.RpcContext has it."""
        with self._changed:
            if self.done():
                return False
            self._callbacks.append(lambda _: callback())
            return True

    def initial_metadata(self) -> Any:
        """As grpc.Call has it."""
        return outcome.initial_metadata() if (outcome := self._ended()) else ()

    def trailing_metadata(self) -> Any:
        """As grpc.Call has it."""
        return outcome.trailing_metadata() if (outcome := self._ended()) else ()

    def code(self) -> Any:
        """As grpc.Call has it."""
        return outcome.code() if (outcome := self._ended()) else grpc.StatusCode.CANCELLED

    def details(self) -> Any:
        """As grpc.Call has it."""
        return outcome.details() if (outcome := self._ended()) else "the call was cancelled by its caller"


class AsyncRetryInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Does what RetryInterceptor does, on an asyncio channel."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._budget = Budget()

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Calls until there is an answer that is not UNAVAILABLE, or no time."""
        if client_call_details.method not in self._methods:
            return await continuation(client_call_details, request)
        attempts = _Attempts(client_call_details, self._budget)
        while True:
            call = await continuation(attempts.next_details(), request)
            code = await call.code()
            goes_on = attempts.may_go_on_after(call, code)
            pause = attempts.pause(await call.trailing_metadata()) if goes_on else None
            if pause is None:
                return attempts.outcome(call, code)
            await asyncio.sleep(pause)
