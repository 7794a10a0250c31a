"""Streams and futures of the synchronous channel."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

from samehost_native._attempts import MOST_ATTEMPTS, Backoff, unavailable
from samehost_native._common import CODES, LOG, Future, metadata_of, serialized
from samehost_native._engine import ClientCall, MetadataError
from samehost_native._errors import NO_STATUS, NOT_SERIALIZED, CallError, deserialized, invalid_metadata

if TYPE_CHECKING:
    from samehost_native._channel import Channel

_KEPT_BYTES = 8 * 1024 * 1024
"""How much of a call is kept to retry it if the server reports that it has not seen it (gRFC A6)."""

_CANCELLED = grpc.StatusCode.CANCELLED


class MultiCall(grpc.Call, Future, grpc.RpcError):
    """A call with one or many requests. It is an iterator of its responses, or the future of its only response.

    Args:
        channel: the channel.
        method: the name of the method.
        requests: the only request as bytes, or an iterator. A thread of the call reads the iterator.
        serializer: serializes requests.
        deserializer: deserializes responses.
        timeout: in seconds. None means no deadline.
        metadata: metadata to send.
        wait_for_ready: wait for a server.
        encoding: compression of the requests.
        is_unary: the call has one response and is its future.
    """

    def __init__(
        self,
        channel: "Channel",
        method: str,
        requests: Any,
        serializer: Any,
        deserializer: Any,
        *,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool,
        encoding: str,
        is_unary: bool,
    ) -> None:
        self._channel = channel
        self._method = method
        self._requests = requests
        self._serializer = serializer
        self._deserializer = deserializer
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._metadata = metadata
        self._waits = wait_for_ready
        self._encoding = encoding
        self._compresses = encoding != "identity"
        self._is_unary = is_unary
        self._native: ClientCall | None = None
        self._changing = threading.RLock()
        """Guards `_native` and the kept requests."""
        self._attempts = 0
        self._kept: list[bytes] | None = []
        """The requests that have been sent. None if the call cannot be retried."""
        self._kept_bytes = 0
        self._half_closed = False
        self._failed: CallError | None = None
        """The error of a call that ended before it started in the engine."""
        self._outcome: Any = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._calls_back = False
        self._is_cancelled = False
        if isinstance(requests, bytes):
            self._try_to_start()
        else:
            threading.Thread(target=self._send_all, name="samehost-requests", daemon=True).start()

    # Starting

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()

    def _start_native(self) -> None:
        engine, left = self._channel.engine, self._left()
        if isinstance(self._requests, bytes):
            self._native = engine.start_unary(
                self._method,
                self._requests,
                self._metadata,
                left,
                self._encoding,
                self._compresses,
                self._is_unary,
            )
        else:
            self._native = engine.start(self._method, self._metadata, left, self._encoding, self._is_unary)
        self._native.watch_deadline()
        self._attempts += 1

    def _try_to_start(self) -> None:
        """Starts the call. If no server listens, the first caller that waits for the call starts it."""
        try:
            self._start_native()
        except OSError as error:
            if not self._waits and not isinstance(error, BlockingIOError):
                self._fail(*unavailable(error, self._channel.path)[:2])
        except MetadataError as error:
            raise invalid_metadata(error) from error

    def _started(self) -> ClientCall | None:
        """Returns the call in the engine, and starts it if necessary. Returns None if that failed."""
        if self._native or self._failed:
            return self._native
        backoff = Backoff()
        with self._changing:
            while not (self._native or self._failed):
                try:
                    self._start_native()
                except OSError as error:
                    left = self._left()
                    if left is not None and left <= 0:
                        self._fail(4, f"Deadline Exceeded; last error: {unavailable(error, self._channel.path)[1]}")
                    elif not backoff.pause(error, self._channel.closed, left, waits=self._waits):
                        self._fail(*unavailable(error, self._channel.path)[:2])
                except MetadataError as error:
                    self._failed = invalid_metadata(error)
                except ValueError as error:
                    self._fail(_CANCELLED.value[0], str(error))
        return self._native

    def _fail(self, code: int, details: str) -> None:
        if not self._failed:
            self._failed = CallError(code, details, (), ())

    def _start_again(self, native: ClientCall) -> bool:
        """Retries a call that no server has seen. Returns False if the call is not retried."""
        with self._changing:
            if self._native is not native:
                return True
            status = native.status()
            if not status or not status[3] or self._attempts >= MOST_ATTEMPTS or self._kept is None:
                return False
            self._native = None
            again = self._started()
            if again is None:
                return True
            for message in self._kept:
                again.send(message, self._compresses, False)
            if self._half_closed:
                again.half_close()
            return True

    # Sending

    def _send_all(self) -> None:
        if self._started() is None:
            return
        while True:
            try:
                request = next(self._requests)
            except StopIteration:
                break
            except Exception as error:
                LOG.error("cannot get the next request", exc_info=error)
                self.cancel_with(grpc.StatusCode.UNKNOWN, "Exception iterating requests!")
                return
            try:
                data = serialized(request, self._serializer)
            except Exception as error:
                LOG.error("cannot serialize a request", exc_info=error)
                self.cancel_with(grpc.StatusCode.INTERNAL, NOT_SERIALIZED)
                return
            if not self._send(data):
                return
        with self._changing:
            self._half_closed = True
            if self._native:
                self._native.half_close()

    def _send(self, message: bytes) -> bool:
        with self._changing:
            if self._kept is not None:
                self._kept_bytes += len(message)
                if self._kept_bytes > _KEPT_BYTES:
                    self._kept = None
            native, is_kept = self._native, self._kept is not None
        if native is None:
            return False
        if native.send(message, self._compresses, False):
            with self._changing:
                if self._native is native and self._kept is not None:
                    self._kept.append(message)
                    return True
        elif not is_kept or not self._start_again(native):
            return False
        else:
            native = None
        with self._changing:
            # The call was retried without this message.
            if native is None or self._native is not native:
                again = self._native
                if again is None or not again.send(message, self._compresses, False):
                    return False
                if self._kept is not None:
                    self._kept.append(message)
        return True

    # Receiving

    def __iter__(self) -> "MultiCall":
        return self

    def __next__(self) -> Any:
        while native := self._started():
            message = native.receive()
            if message is not None:
                self._kept = None
                return self._deserialized(message)
            if not self._start_again(native):
                break
        error = self._error()
        if error.code() is grpc.StatusCode.OK:
            raise StopIteration
        raise error

    def _deserialized(self, message: bytes) -> Any:
        try:
            return deserialized(message, self._deserializer)
        except CallError as error:
            self.cancel_with(error.code(), error.details())
            self._failed = error
            raise

    def _error(self) -> CallError:
        """Returns the result of an ended call."""
        if self._failed or not self._native:
            return self._failed or CallError(2, "the call did not start", (), ())
        code, details, trailing, _ = self._native.status() or NO_STATUS
        return CallError(code, details, self._native.initial_metadata(), trailing)

    def _wait(self, timeout: float | None) -> bool:
        """Waits until the call has ended. Returns False after `timeout` seconds."""
        for _ in itertools.count():
            native = self._started()
            if native is None:
                return True
            if self._is_unary:
                outcome = native.unary_result(timeout)
                ended = outcome is not None
            else:
                outcome, ended = None, native.wait_end(timeout)
            if not ended:
                return False
            if not self._start_again(native):
                self._outcome = outcome
                return True
        raise AssertionError("unreachable")

    # grpc.Future

    def result(self, timeout: float | None = None) -> Any:
        """See grpc.Future."""
        if error := self.exception(timeout):
            raise error
        if not self._is_unary:
            return None
        message = self._outcome[2]
        if message is None:
            raise CallError(grpc.StatusCode.UNIMPLEMENTED.value[0], "the server sent no message", (), ())
        return self._deserialized(message)

    def exception(self, timeout: float | None = None) -> Any:
        """See grpc.Future."""
        if not self._wait(timeout):
            raise grpc.FutureTimeoutError
        if self._is_cancelled:
            raise grpc.FutureCancelledError
        error = self._error()
        return None if error.code() is grpc.StatusCode.OK else error

    def traceback(self, timeout: float | None = None) -> Any:
        """See grpc.Future."""
        error = self.exception(timeout)
        if error is None:
            return None
        try:
            raise error
        except grpc.RpcError as raised:
            return raised.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """See grpc.Future. A thread of the call runs the callback."""
        with self._changing:
            self._callbacks.append(fn)
            if self._calls_back:
                return
            self._calls_back = True
        threading.Thread(target=self._call_back, name="samehost-callbacks", daemon=True).start()

    def _call_back(self) -> None:
        self._wait(None)
        with self._changing:
            callbacks, self._callbacks = self._callbacks, []
            self._calls_back = False
        for callback in callbacks:
            try:
                callback(self)
            except Exception as error:
                LOG.error("a callback raised %s", type(error).__name__, exc_info=error)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """See grpc.RpcContext."""
        if self.done():
            return False
        self.add_done_callback(lambda _: callback())
        return True

    def done(self) -> bool:
        """See grpc.Future."""
        if self._failed:
            return True
        native = self._native
        if native is None:
            return False
        return self._wait(0) if self._is_unary else native.status() is not None

    def running(self) -> bool:
        """See grpc.Future."""
        return not self.done()

    def cancelled(self) -> bool:
        """See grpc.Future."""
        return self._is_cancelled

    def cancel(self) -> bool:
        """See grpc.Future."""
        if self.done() or not self.cancel_with(_CANCELLED, "Locally cancelled by application!"):
            return False
        self._is_cancelled = True
        return True

    def cancel_with(self, code: grpc.StatusCode, details: str) -> bool:
        """Ends the call with a status. Returns whether it was still running."""
        self._kept = None
        self._waits = False
        native = self._native
        if native is None:
            self._fail(code.value[0], details)
            return True
        return native.cancel(code.value[0], details)

    # grpc.Call

    def is_active(self) -> bool:
        """See grpc.RpcContext."""
        return not self.done()

    def time_remaining(self) -> Any:
        """See grpc.RpcContext."""
        left = self._left()
        return None if left is None else max(0.0, left)

    def initial_metadata(self) -> Any:
        """See grpc.Call."""
        while native := self._started():
            native.wait_initial()
            if not self._start_again(native):
                return metadata_of(native.initial_metadata())
        return ()

    def trailing_metadata(self) -> Any:
        """See grpc.Call."""
        self._wait(None)
        return self._error().trailing_metadata()

    def code(self) -> Any:
        """See grpc.Call."""
        self._wait(None)
        return self._error().code()

    def details(self) -> Any:
        """See grpc.Call."""
        self._wait(None)
        return self._error().details()

    def debug_error_string(self) -> str:
        """Returns the code and details in one line."""
        self._wait(None)
        return self._error().debug_error_string()

    def __repr__(self) -> str:
        status = self._native.status() if self._native else None
        state = CODES[status[0]].name if status else "in progress"
        return f"<{type(self).__name__} of {self._method}: {state}>"
