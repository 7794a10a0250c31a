"""The synchronous channel, a grpc.Channel."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from samehost_native._attempts import MOST_ATTEMPTS, Backoff, unavailable
from samehost_native._call import MultiCall
from samehost_native._common import (
    LOG,
    MAX_MESSAGE_BYTES,
    NO_SERVER,
    SEEN,
    Keepalive,
    Outcome,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
    encoding_name,
    serialized,
)
from samehost_native._credentials import TOO_INSECURE, plugins_of, with_credentials
from samehost_native._engine import Channel as Engine
from samehost_native._engine import ClientTls, MetadataError
from samehost_native._errors import NOT_SERIALIZED, CallError, deserialized, invalid_metadata
from samehost_native._version import USER_AGENT

_CONNECTIVITY_PACE = 0.1
"""Seconds between two checks of the connection for a subscriber."""


class Channel(grpc.Channel):
    """A channel to the server on a Unix domain socket.

    The thread that makes a call reads and writes the socket itself, so a call needs no switch between threads.

    Args:
        path: the path of the socket.
        max_receive: the longest message that is received, in bytes.
        max_send: the longest message that is sent, in bytes.
        compression: compression of requests. A call can change it.
        decompress: decompress responses. If False, callers receive them as they arrived.
        tls: TLS. None connects without it.
        keepalive: seconds without input before a ping, seconds to wait for its answer before the connection is closed,
            and whether to ping without calls. None sends no pings.
        local_credentials: calls can have credentials without TLS, as with grpc.local_channel_credentials.
    """

    def __init__(
        self,
        path: str,
        *,
        max_receive: int = MAX_MESSAGE_BYTES,
        max_send: int = MAX_MESSAGE_BYTES,
        compression: grpc.Compression | None = None,
        decompress: bool = True,
        tls: ClientTls | None = None,
        keepalive: Keepalive | None = None,
        local_credentials: bool = False,
    ) -> None:
        self.path = path
        self.scheme = "https" if tls else "" if local_credentials else None
        """The scheme of the URL that plugins of call credentials get. None if the channel refuses credentials."""
        self.engine = Engine(
            path,
            user_agent=USER_AGENT,
            max_receive=max_receive,
            max_send=max_send,
            decompress=decompress,
            in_loop=False,
            tls=tls,
            keepalive=keepalive,
        )
        self.compression = compression
        self.closed = threading.Event()
        self._watchers: dict[Callable[[grpc.ChannelConnectivity], None], threading.Event] = {}

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.Channel."""
        return _UnaryUnary(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.Channel."""
        return _UnaryStream(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.Channel."""
        return _StreamUnary(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.Channel."""
        return _StreamStream(self, method, request_serializer, response_deserializer)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False
    ) -> None:
        """See grpc.Channel."""
        stop = self._watchers[callback] = threading.Event()
        watch = threading.Thread(target=self._watch, args=(callback, bool(try_to_connect), stop), daemon=True)
        watch.start()

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """See grpc.Channel."""
        if stop := self._watchers.pop(callback, None):
            stop.set()

    def _watch(
        self, callback: Callable[[grpc.ChannelConnectivity], None], connects: bool, stop: threading.Event
    ) -> None:
        last = None
        while not stop.is_set():
            # As in grpcio, the first state is the one before the channel connects.
            state = self.connectivity(connects=connects and last is not None)
            if state is not last:
                first, last = last is None, state
                callback(state)
                if first:
                    continue
            if state is grpc.ChannelConnectivity.SHUTDOWN:
                return
            stop.wait(_CONNECTIVITY_PACE)

    def connectivity(self, *, connects: bool) -> grpc.ChannelConnectivity:
        """Returns the state of the connection.

        Args:
            connects: connect if the channel has no connection.
        """
        if self.closed.is_set():
            return grpc.ChannelConnectivity.SHUTDOWN
        if connects:
            try:
                self.engine.connect()
            except OSError:
                return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return grpc.ChannelConnectivity.READY if self.engine.is_connected() else grpc.ChannelConnectivity.IDLE

    def close(self) -> None:
        """Closes the channel and ends all calls. New calls raise ValueError."""
        self.closed.set()
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Method:
    def __init__(self, channel: Channel, method: str | bytes, serializer: Any, deserializer: Any) -> None:
        self._channel = channel
        self._method = method.decode() if isinstance(method, bytes) else method
        self._serializer = serializer
        self._deserializer = deserializer

    def _with_credentials(self, metadata: Any, credentials: grpc.CallCredentials, timeout: float | None) -> Any:
        """Returns the metadata of a call with those of its credentials.

        Raises:
            CallError: the channel refuses credentials, a plugin failed, or the timeout passed.
        """
        scheme = self._channel.scheme
        if scheme is None:
            raise CallError(grpc.StatusCode.UNAUTHENTICATED.value[0], TOO_INSECURE, (), ())
        return with_credentials(metadata, plugins_of(credentials), scheme, self._method, timeout)

    def _serialized(self, request: Any) -> bytes:
        if self._serializer is None:
            return serialized(request, None)
        try:
            return serialized(request, self._serializer)
        except Exception as error:
            LOG.error("cannot serialize a request", exc_info=error)
            raise CallError(grpc.StatusCode.INTERNAL.value[0], NOT_SERIALIZED, (), ()) from error

    def _start(
        self,
        requests: Any,
        timeout: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
        *,
        is_unary: bool = False,
    ) -> MultiCall:
        if credentials is not None:
            begun = time.monotonic()
            metadata = self._with_credentials(metadata, credentials, timeout)
            timeout = None if timeout is None else begun + timeout - time.monotonic()
        return MultiCall(
            self._channel,
            self._method,
            requests,
            self._serializer,
            self._deserializer,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=bool(wait_for_ready),
            encoding=encoding_name(compression if compression is not None else self._channel.compression),
            is_unary=is_unary,
        )


class _UnaryUnary(_Method, UnaryUnaryMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        outcome = self._outcome(request, timeout, metadata, credentials, wait_for_ready, compression)
        return self._response(outcome)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        code, details, _, initial, trailing, _ = outcome = self._outcome(
            request, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._response(outcome), CallError(code, details, initial, trailing)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        request = self._serialized(request)
        return self._start(request, timeout, metadata, credentials, wait_for_ready, compression, is_unary=True)

    def _response(self, outcome: Outcome) -> Any:
        code, details, message, initial, trailing, _ = outcome
        if code != 0:
            raise CallError(code, details, initial, trailing)
        if message is None:
            raise CallError(grpc.StatusCode.UNIMPLEMENTED.value[0], "the server sent no message", initial, trailing)
        return deserialized(message, self._deserializer)

    def _outcome(
        self,
        request: Any,
        timeout: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> Outcome:
        channel = self._channel
        data = self._serialized(request)
        encoding = encoding_name(compression if compression is not None else channel.compression)
        compresses = encoding != "identity"
        begun = time.monotonic()
        backoff = Backoff()
        left = timeout
        if credentials is not None:
            metadata = self._with_credentials(metadata, credentials, timeout)
            left = None if timeout is None else max(0.0, begun + timeout - time.monotonic())
        for attempt in itertools.count(1):
            refused: OSError | None = None
            try:
                outcome = channel.engine.unary(self._method, data, metadata, left, encoding, compresses)
            except OSError as error:
                outcome, refused = unavailable(error, channel.path), error
            except MetadataError as error:
                raise invalid_metadata(error) from error
            if outcome[5] == SEEN:
                return outcome
            if outcome[5] == NO_SERVER and wait_for_ready:
                refused = refused or ConnectionError(outcome[1])
            if refused is not None:
                if not backoff.pause(refused, channel.closed, left, waits=bool(wait_for_ready)):
                    return outcome
            elif attempt >= MOST_ATTEMPTS:
                return outcome
            if timeout is not None:
                left = begun + timeout - time.monotonic()
                if left <= 0:
                    return (4, f"Deadline Exceeded; last error: {outcome[1]}", None, [], [], SEEN)
        raise AssertionError("unreachable")


class _UnaryStream(_Method, UnaryStreamMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        request = self._serialized(request)
        return self._start(request, timeout, metadata, credentials, wait_for_ready, compression)


class _StreamUnary(_Method, StreamUnaryMultiCallable):
    def __call__(
        self,
        request_iterator: Iterator[Any],
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self.future(request_iterator, timeout, metadata, credentials, wait_for_ready, compression).result()

    def with_call(
        self,
        request_iterator: Iterator[Any],
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        call = self.future(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return call.result(), call

    def future(
        self,
        request_iterator: Iterator[Any],
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression, is_unary=True)


class _StreamStream(_Method, StreamStreamMultiCallable):
    def __call__(
        self,
        request_iterator: Iterator[Any],
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
