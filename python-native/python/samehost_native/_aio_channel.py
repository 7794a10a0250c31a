"""The asyncio channel, a grpc.aio.Channel."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import Metadata

from samehost_native._aio_interceptors import InterceptedCall, chain
from samehost_native._attempts import MOST_ATTEMPTS, Backoff, unavailable
from samehost_native._common import CODES, MAX_MESSAGE_BYTES, NO_SERVER, Keepalive, encoding_name, serialized
from samehost_native._credentials import TOO_INSECURE, Plugin, plugins_of, with_credentials_async
from samehost_native._engine import Channel as Engine
from samehost_native._engine import ClientCall, ClientTls, MetadataError
from samehost_native._errors import NO_STATUS, CallError
from samehost_native._loop import until_news
from samehost_native._version import USER_AGENT

_CONNECTIVITY_PACE = 0.1
"""Seconds between two checks of the connection for a caller that waits for it to change."""

_KEPT_BYTES = 8 * 1024 * 1024
"""How much of a call is kept to retry it if the server reports that it has not seen it."""

_READY = grpc.ChannelConnectivity.READY


class Channel(grpc.aio.Channel):
    """A channel to the server on a Unix domain socket, for the event loop that first uses it.

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
        interceptors: client interceptors of grpc.aio, each for its kind of call. The first one is the outermost.
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
        interceptors: Sequence[Any] = (),
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
            in_loop=True,
            tls=tls,
            keepalive=keepalive,
        )
        self.compression = compression
        self.is_closed = False
        self.interceptors = list(interceptors)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.calls: set[Call] = set()

    def attach(self) -> None:
        """Runs the engine in the running event loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self.engine.fileno(), self.engine.turn)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.aio.Channel."""
        return _UnaryUnary(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.aio.Channel."""
        return _UnaryStream(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.aio.Channel."""
        return _StreamUnary(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """See grpc.aio.Channel."""
        return _StreamStream(self, method, request_serializer, response_deserializer)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See grpc.aio.Channel."""
        if self.is_closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if try_to_connect:
            self.attach()
            try:
                self.engine.connect()
            except OSError:
                return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return grpc.ChannelConnectivity.READY if self.engine.is_connected() else grpc.ChannelConnectivity.IDLE

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See grpc.aio.Channel."""
        while self.get_state(try_to_connect=True) is last_observed_state:  # noqa: ASYNC110 - a server sends no event
            await asyncio.sleep(_CONNECTIVITY_PACE)

    async def channel_ready(self) -> None:
        """See grpc.aio.Channel."""
        while self.get_state(try_to_connect=True) is not _READY:  # noqa: ASYNC110 - a server sends no event
            await asyncio.sleep(_CONNECTIVITY_PACE)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel, and ends the calls in progress after the grace. New calls raise UsageError."""
        if self.is_closed:
            return
        self.is_closed = True
        if grace and self.calls:
            await asyncio.wait([asyncio.ensure_future(call.wait_until_done()) for call in self.calls], timeout=grace)
        for call in list(self.calls):
            call.cancel()
        self.engine.close()
        if self._loop:
            self._loop.remove_reader(self.engine.fileno())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _text(method: Any) -> str:
    """Returns the name of a method as text. Interceptors of grpcio may pass it as bytes."""
    return method.decode() if isinstance(method, bytes) else str(method)


class _Method:
    _kind: str
    _interceptor: type

    def __init__(self, channel: Channel, method: str | bytes, serializer: Any, deserializer: Any) -> None:
        self._channel = channel
        self._method = _text(method)
        self._serializer = serializer
        self._deserializer = deserializer
        self._interceptors = [each for each in channel.interceptors if isinstance(each, self._interceptor)]

    def _start(
        self,
        kind: type["Call"],
        requests: Any,
        timeout: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> Any:
        channel = self._channel
        if channel.is_closed:
            raise grpc.aio.UsageError("the channel is closed")
        if credentials is not None and channel.scheme is None:
            raise grpc.aio.UsageError(TOO_INSECURE)
        channel.attach()
        encoding = encoding_name(compression if compression is not None else channel.compression)

        def start(details: grpc.aio.ClientCallDetails, requests: Any) -> Call:
            return kind(
                channel,
                _text(details.method),
                requests,
                self._serializer,
                self._deserializer,
                timeout=details.timeout,
                metadata=details.metadata,
                wait_for_ready=bool(details.wait_for_ready),
                encoding=encoding,
                plugins=plugins_of(details.credentials),
            )

        if self._interceptors and metadata is not None:
            metadata = _metadata(metadata)
        name: Any = self._method.encode()  # as in grpc.aio, although its type is str in types-grpcio
        details = grpc.aio.ClientCallDetails(name, timeout, metadata, credentials, wait_for_ready)
        if not self._interceptors:
            return start(details, requests)
        started: list[Call] = []

        def note(details: grpc.aio.ClientCallDetails, requests: Any) -> Call:
            started.append(start(details, requests))
            return started[-1]

        return _INTERCEPTED[kind](chain(self._interceptors, self._kind, note)(details, requests), started)


class Call(grpc.aio.Call):
    """A call of any of the four kinds."""

    _has_one_request = True
    _has_one_response = True

    def __init__(
        self,
        channel: Channel,
        method: str,
        requests: Any,
        serializer: Any,
        deserializer: Any,
        *,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool,
        encoding: str,
        plugins: list[Plugin],
    ) -> None:
        self._channel = channel
        self._method = method
        self._serializer = serializer
        self._deserializer = deserializer
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._metadata = metadata
        self._waits = wait_for_ready
        self._encoding = encoding
        self._compresses = encoding != "identity"
        self._native: ClientCall | None = None
        self._attempts = 0
        self._kept: list[bytes] | None = []
        self._kept_bytes = 0
        self._half_closed = False
        self._status: tuple[int, str, Any, Any] | None = None
        """The result of the call: code, details, initial and trailing metadata. None while it runs."""
        self._message: bytes | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._starting: asyncio.Task[Any] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._request = serialized(requests, serializer) if self._has_one_request else None
        channel.calls.add(self)
        if plugins:
            self._starting = self._loop.create_task(self._start_with(plugins))
        else:
            self._try_to_start()
        if not self._has_one_request and requests is not None:
            self._sending = self._loop.create_task(self._send_all(requests))
        if self._has_one_response:
            self._reading = self._loop.create_task(self._read_one())

    # Starting

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _try_to_start(self) -> None:
        """Starts the call. If no server listens, the first task that waits for the call starts it."""
        try:
            self._start_native(self._left())
        except OSError as error:
            if not self._waits and not isinstance(error, BlockingIOError):
                self._end((*unavailable(error, self._channel.path)[:2], (), ()))

    async def _start_with(self, plugins: list[Plugin]) -> None:
        """Starts the call with the metadata of its credentials."""
        try:
            async with asyncio.timeout(self._left()):
                self._metadata = await with_credentials_async(
                    self._metadata, plugins, self._channel.scheme or "", self._method
                )
            await self._start()
        except TimeoutError:
            self._end((grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded", (), ()))
        except CallError as error:
            self._end((error.code().value[0], error.details(), (), ()))
        except MetadataError as error:
            self._end((grpc.StatusCode.UNAVAILABLE.value[0], str(error), (), ()))
        finally:
            self._starting = None

    def _start_native(self, left: float | None) -> ClientCall:
        engine = self._channel.engine
        if self._request is not None:
            self._native = engine.start_unary(
                self._method,
                self._request,
                self._metadata,
                left,
                self._encoding,
                self._compresses,
                self._has_one_response,
            )
        else:
            self._native = engine.start(self._method, self._metadata, left, self._encoding, self._has_one_response)
        if left is not None:
            self._native.watch_deadline()
        self._attempts += 1
        return self._native

    async def _started(self) -> ClientCall | None:
        """Returns the call in the engine, and starts it if necessary. Returns None if the call ended before."""
        if self._native is not None or self._status is not None:
            return self._native
        if self._starting is None:
            self._starting = self._loop.create_task(self._start())
        await asyncio.shield(self._starting)
        return self._native

    async def _start(self) -> None:
        backoff = Backoff()
        while self._native is None and self._status is None:
            try:
                self._start_native(self._left())
            except OSError as error:
                left = self._left()
                reason = unavailable(error, self._channel.path)
                if left == 0:
                    self._end((4, f"Deadline Exceeded; last error: {reason[1]}", (), ()))
                elif (pause := backoff.seconds(error, left, waits=self._waits)) is None:
                    self._end((*reason[:2], (), ()))
                else:
                    await asyncio.sleep(pause)
        self._starting = None

    def _start_again(self, native: ClientCall) -> bool:
        """Retries a call that no server has seen. Returns False if the call is not retried."""
        if self._native is not native:
            return True
        status = native.status()
        if not status or not status[3] or self._attempts >= MOST_ATTEMPTS or self._kept is None:
            return False
        self._native = None
        try:
            again = self._start_native(self._left())
        except OSError:
            return True
        for message in self._kept:
            again.send_nowait(message, self._compresses, False, self._loop.create_future())
        if self._half_closed:
            again.half_close()
        return True

    def _end(self, status: tuple[int, str, Any, Any]) -> None:
        if self._status is None:
            self._status = status
            self._channel.calls.discard(self)
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                self._loop.call_soon(callback, self)

    def _end_with(self, native: ClientCall) -> None:
        code, details, trailing, _ = native.status() or NO_STATUS
        self._end((code, details, native.initial_metadata(), trailing))

    def _final(self) -> tuple[int, str, Any, Any]:
        """Returns the result of an ended call."""
        return self._status or (*NO_STATUS[:2], (), ())

    # Sending

    async def _send_all(self, requests: Any) -> None:
        try:
            if hasattr(requests, "__aiter__"):
                async for request in requests:
                    if not await self._send(serialized(request, self._serializer)):
                        return
            else:
                for request in requests:
                    if not await self._send(serialized(request, self._serializer)):
                        return
            await self._half_close()
        except asyncio.CancelledError:
            self.cancel()
            raise
        except Exception:
            self.cancel()
            raise

    async def _send(self, message: bytes) -> bool:
        while native := await self._started():
            sent = await until_news(lambda news: native.send_nowait(message, self._compresses, False, news))
            if sent:
                if self._native is native and self._kept is not None:
                    self._kept_bytes += len(message)
                    self._kept.append(message)
                    if self._kept_bytes > _KEPT_BYTES:
                        self._kept = None
                return True
            if not self._start_again(native):
                return False
        return False

    async def _half_close(self) -> None:
        if (native := await self._started()) and not self._half_closed:
            self._half_closed = True
            native.half_close()

    # Receiving

    async def _read_one(self) -> None:
        backoff = Backoff()
        while native := await self._started():
            outcome = await until_news(native.unary_nowait)
            if outcome[5] == NO_SERVER and self._waits:
                if self._left() == 0:
                    self._end((4, f"Deadline Exceeded; last error: {outcome[1]}", (), ()))
                    return
                pause = backoff.seconds(ConnectionError(outcome[1]), self._left(), waits=True)
                await asyncio.sleep(pause or 0)
                self._native = None
                continue
            if outcome[5] and self._start_again(native):
                continue
            code, details, self._message, initial, trailing, _ = outcome
            if code == 0 and self._message is None:
                code, details = grpc.StatusCode.UNIMPLEMENTED.value[0], "the server sent no message"
            self._end((code, details, initial, trailing))
            return

    async def _receive(self) -> bytes | None:
        """Returns the next message, or None if the call has ended."""
        while native := await self._started():
            message = await until_news(native.receive_nowait)
            if isinstance(message, bytes):
                self._kept = None
                return message
            if not self._start_again(native):
                self._end_with(native)
                return None
        return None

    def _deserialize(self, message: bytes) -> Any:
        return self._deserializer(message) if self._deserializer else message

    def _raise(self) -> None:
        """Raises the error of the call, unless it ended with OK."""
        code, details, initial, trailing = self._final()
        if code == 0:
            return
        if code == 1 and self._is_cancelled_here:
            raise asyncio.CancelledError
        raise grpc.aio.AioRpcError(
            CODES.get(code, grpc.StatusCode.UNKNOWN), _metadata(initial), _metadata(trailing), details, details
        )

    _is_cancelled_here = False

    async def wait_until_done(self) -> None:
        """Waits until the call has ended."""
        if self._reading:
            if self._status is None:
                await asyncio.wait([self._reading])
            return
        while self._status is None and (native := await self._started()):
            await until_news(lambda news: _ended(native, news))
            if not self._start_again(native):
                self._end_with(native)

    # grpc.aio.Call

    def cancel(self) -> bool:
        """See grpc.aio.Call."""
        if self._status is not None:
            return False
        self._kept = None
        self._waits = False
        self._is_cancelled_here = True
        details = "Locally cancelled by application!"
        if self._native:
            self._native.cancel(1, details)
        self._end((1, details, (), ()))
        for task in (self._sending, self._reading, self._starting):
            if task and task is not asyncio.current_task():
                task.cancel()
        return True

    def cancelled(self) -> bool:
        """See grpc.aio.Call."""
        return self._status is not None and self._status[0] == 1

    def done(self) -> bool:
        """See grpc.aio.Call."""
        return self._status is not None

    def time_remaining(self) -> float | None:
        """See grpc.aio.Call."""
        return self._left()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """See grpc.aio.Call."""
        if self._status is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """See grpc.RpcContext."""
        if self._status is not None:
            return False
        self._callbacks.append(lambda _: callback())
        return True

    def is_active(self) -> bool:
        """See grpc.RpcContext."""
        return self._status is None

    async def initial_metadata(self) -> Metadata:
        """See grpc.aio.Call."""
        while self._status is None and (native := await self._started()):
            await until_news(lambda news: native.initial_nowait(news) or None)
            if not self._start_again(native):
                return _metadata(native.initial_metadata())
        return _metadata(self._final()[2])

    async def trailing_metadata(self) -> Metadata:
        """See grpc.aio.Call."""
        await self.wait_until_done()
        return _metadata(self._final()[3])

    async def code(self) -> grpc.StatusCode:
        """See grpc.aio.Call."""
        await self.wait_until_done()
        return CODES.get(self._final()[0], grpc.StatusCode.UNKNOWN)

    async def details(self) -> str:
        """See grpc.aio.Call."""
        await self.wait_until_done()
        return self._final()[1]

    async def debug_error_string(self) -> str:
        """Returns the details."""
        return await self.details()

    async def wait_for_connection(self) -> None:
        """See grpc.aio.Call."""
        await self._started()
        if self._status:
            self._raise()


def _ended(native: ClientCall, news: "asyncio.Future[None]") -> bool | None:
    native.end_nowait(news)
    return True if native.status() else None


def _metadata(pairs: Any) -> Metadata:
    return pairs if isinstance(pairs, Metadata) else Metadata(*((key, value) for key, value in pairs))


class _OneResponse(Call):
    def __await__(self) -> Generator[Any, None, Any]:
        """Waits for the response."""
        try:
            if self._status is None:
                yield from self.wait_until_done().__await__()
        except asyncio.CancelledError:
            if not self.cancelled():
                self.cancel()
            raise
        self._raise()
        return self._deserialize(self._message or b"")


class _ManyResponses(Call):
    _has_one_response = False

    _is_iterated: bool | None = None
    """The responses are read with an iterator, or with `read`. As in grpc.aio, a call cannot use both."""

    async def read(self) -> Any:
        """See grpc.aio.StreamStreamCall."""
        self._use(is_iterated=False)
        return await self._next()

    def _use(self, *, is_iterated: bool) -> None:
        if self._is_iterated not in (None, is_iterated):
            raise grpc.aio.UsageError("cannot use read() and an iterator for the same call; use one of them")
        self._is_iterated = is_iterated

    async def _next(self) -> Any:
        if self._status is not None:
            self._raise()
            return grpc.aio.EOF
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not self.done():
                self.cancel()
            raise
        if message is None:
            self._raise()
            return grpc.aio.EOF
        return self._deserialize(message)

    def __aiter__(self) -> AsyncIterator[Any]:
        self._use(is_iterated=True)
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while (message := await self._next()) is not grpc.aio.EOF:
            yield message


class _ManyRequests(Call):
    _has_one_request = False

    async def write(self, request: Any) -> None:
        """See grpc.aio.StreamStreamCall."""
        if self._sending:
            raise grpc.aio.UsageError("cannot use write(): the call has an iterator of requests")
        if self._half_closed:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        if self._status is not None or not await self._send(serialized(request, self._serializer)):
            await self.wait_until_done()
            self._raise()
            raise asyncio.InvalidStateError("RPC already finished.")

    async def done_writing(self) -> None:
        """See grpc.aio.StreamStreamCall."""
        if self._sending:
            raise grpc.aio.UsageError("cannot use done_writing(): the call has an iterator of requests")
        if self._status is None:
            await self._half_close()


class _UnaryUnaryCall(_OneResponse, grpc.aio.UnaryUnaryCall[Any, Any]):
    pass


class _UnaryStreamCall(_ManyResponses, grpc.aio.UnaryStreamCall[Any, Any]):
    pass


class _StreamUnaryCall(_ManyRequests, _OneResponse, grpc.aio.StreamUnaryCall[Any, Any]):
    pass


class _StreamStreamCall(_ManyRequests, _ManyResponses, grpc.aio.StreamStreamCall[Any, Any]):
    pass


class _InterceptedUnaryUnary(InterceptedCall, grpc.aio.UnaryUnaryCall[Any, Any]):
    pass


class _InterceptedUnaryStream(InterceptedCall, grpc.aio.UnaryStreamCall[Any, Any]):
    pass


class _InterceptedStreamUnary(InterceptedCall, grpc.aio.StreamUnaryCall[Any, Any]):
    pass


class _InterceptedStreamStream(InterceptedCall, grpc.aio.StreamStreamCall[Any, Any]):
    pass


_INTERCEPTED: dict[type[Call], type[InterceptedCall]] = {
    _UnaryUnaryCall: _InterceptedUnaryUnary,
    _UnaryStreamCall: _InterceptedUnaryStream,
    _StreamUnaryCall: _InterceptedStreamUnary,
    _StreamStreamCall: _InterceptedStreamStream,
}


class _UnaryUnary(_Method, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    _kind = "unary_unary"
    _interceptor = grpc.aio.UnaryUnaryClientInterceptor

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(_UnaryUnaryCall, request, timeout, metadata, credentials, wait_for_ready, compression)


class _UnaryStream(_Method, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    _kind = "unary_stream"
    _interceptor = grpc.aio.UnaryStreamClientInterceptor

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(_UnaryStreamCall, request, timeout, metadata, credentials, wait_for_ready, compression)


class _StreamUnary(_Method, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    _kind = "stream_unary"
    _interceptor = grpc.aio.StreamUnaryClientInterceptor

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(
            _StreamUnaryCall, request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )


class _StreamStream(_Method, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    _kind = "stream_stream"
    _interceptor = grpc.aio.StreamStreamClientInterceptor

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        return self._start(
            _StreamStreamCall, request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )
