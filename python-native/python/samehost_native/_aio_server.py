"""The asyncio server, a grpc.aio.Server."""

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from typing import Any, NoReturn

import grpc

from samehost_native._common import HANDSHAKE_SECONDS, LOG, MAX_MESSAGE_BYTES, Keepalive, serialized
from samehost_native._context import AbortError, Answer
from samehost_native._context import Context as SyncContext
from samehost_native._engine import Server as Engine
from samehost_native._engine import ServerCall, ServerTls
from samehost_native._handlers import Handlers, behavior_of
from samehost_native._loop import let_others_run, until_news

_LAST_CODE = grpc.StatusCode.UNAUTHENTICATED.value[0]


class Server(grpc.aio.Server):
    """Serves gRPC on the Unix domain sockets of `listen`, in the event loop that starts it.

    Args:
        interceptors: instances of grpc.aio.ServerInterceptor. The first one is the outermost.
        max_concurrent_calls: the most calls in progress. Further calls fail with RESOURCE_EXHAUSTED.
        max_receive: the longest message that is received, in bytes.
        max_send: the longest message that is sent, in bytes.
        compression: compression of responses. A handler can change it.
        decompress: decompress requests. If False, handlers receive them as they arrived.
        tls: TLS. None serves without it.
        handshake: seconds that a client has for its handshakes, TLS and HTTP/2.
        keepalive: seconds without input before a ping, seconds to wait for its answer before the connection is closed,
            and whether to ping without calls. None sends no pings.
        max_connection_age: seconds until a client is moved to a new connection, varied by 10 % (gRFC A9). Its
            calls finish. None sets no limit.
        migration_thread_pool: runs synchronous handlers. The default is the executor of the event loop.
        log: the logger for exceptions of handlers.
    """

    def __init__(
        self,
        *,
        interceptors: Sequence[Any] = (),
        max_concurrent_calls: int = 100,
        max_receive: int = MAX_MESSAGE_BYTES,
        max_send: int = MAX_MESSAGE_BYTES,
        compression: grpc.Compression | None = None,
        decompress: bool = True,
        tls: ServerTls | None = None,
        handshake: float = HANDSHAKE_SECONDS,
        keepalive: Keepalive | None = None,
        max_connection_age: float | None = None,
        migration_thread_pool: Executor | None = None,
        log: logging.Logger = LOG,
    ) -> None:
        refusal = f"the server has reached its limit of {max_concurrent_calls} calls in progress; try again later"
        self._engine = Engine(
            max_calls=max_concurrent_calls,
            refusal=refusal,
            max_receive=max_receive,
            max_send=max_send,
            decompress=decompress,
            tls=tls,
            handshake=handshake,
            keepalive=keepalive,
            age=max_connection_age,
        )
        self._handlers = Handlers(self._engine, interceptors)
        self._compression = compression
        self._pool = migration_thread_pool
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """See grpc.aio.Server."""
        self._handlers.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """See grpc.aio.Server."""
        self._handlers.add_registered(service_name, method_handlers)

    def listen(self, descriptor: int) -> None:
        """Serves on a listening Unix socket until the server stops. The server uses a copy of the descriptor."""
        self._engine.listen(descriptor)

    def add_insecure_port(self, address: str) -> int:
        """Raises NotImplementedError, because this engine does not bind sockets. Use `listen`."""
        raise NotImplementedError(f"cannot bind {address}: this engine binds no sockets; use listen()")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Raises NotImplementedError, because this engine does not bind sockets. Use `tls` and `listen`."""
        raise NotImplementedError(f"cannot bind {address}: this engine binds no sockets; use tls= and listen()")

    async def start(self) -> None:
        """See grpc.aio.Server."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._engine.fileno(), self._turn)
        self._turn()

    async def stop(self, grace: float | None) -> None:
        """Stops the server. Clients move to the next server, and retry calls that this server has not seen.

        Args:
            grace: seconds that the calls in progress have to finish. None ends them at once.
        """
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(grace))
        elif not grace:
            self._engine.abort()
        await asyncio.shield(self._stopping)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """See grpc.aio.Server. Returns True if the server has stopped."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), timeout)
        return self._ended.is_set()

    async def _stop(self, grace: float | None) -> None:
        self._engine.drain()
        if grace:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(until_news(lambda news: self._engine.quiet_nowait(news) or None), grace)
        self._engine.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._loop.remove_reader(self._engine.fileno())
        self._ended.set()

    def _turn(self) -> None:
        for call in self._engine.turn():
            task = self._loop.create_task(self._handle(call))
            self._tasks.add(task)
            over = self._loop.create_future()
            task.add_done_callback(functools.partial(self._forget, over))
            over.add_done_callback(functools.partial(_cancel, task))
            call.watch_over(over)

    def _forget(self, over: "asyncio.Future[None]", task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        over.cancel()

    async def _handle(self, call: ServerCall) -> None:
        context = Context(call, self._compression)
        answer: Context | ThreadContext = context
        try:
            handler = await self._find(call)
            if handler is None:
                call.finish(grpc.StatusCode.UNIMPLEMENTED.value[0], "Method not found!", None, None, False)
                return
            answer = context if _is_async(behavior_of(handler)) else ThreadContext(call, self._compression)
            answer.request_deserializer = handler.request_deserializer
            answer.response_serializer = handler.response_serializer
            if isinstance(answer, Context):
                await _respond(call, handler, answer)
            else:
                await _respond_in_thread(call, handler, answer, self._pool)
        except AbortError:
            answer.finish(None)
        except asyncio.CancelledError:
            answer.fail(grpc.StatusCode.CANCELLED, "the server cancelled the call")
        except Exception as error:
            if not call.is_active():
                return  # the client has gone
            self._log.error("%s raised %s", call.method, type(error).__name__, exc_info=error)
            answer.failed_with(error)
        finally:
            answer.run_callbacks()

    async def _find(self, call: ServerCall) -> Any:
        if not self._handlers.interceptors:
            return self._handlers.find(call)
        return await self._handlers.find_async(call)


def _cancel(task: "asyncio.Task[None]", over: "asyncio.Future[None]") -> None:
    if not over.cancelled():
        task.cancel()


class _Answer(Answer):
    """The messages and the status of a call on an asyncio server."""

    request_deserializer: Any = None
    response_serializer: Any = None

    async def next_request(self) -> Any:
        """Returns the next request, or None after the last one."""
        await let_others_run()
        loop = asyncio.get_running_loop()
        while True:
            news = loop.create_future()
            data = self._call.receive_nowait(news)
            if data is True:
                await news
            elif data is None:
                return None
            elif data is False:
                raise asyncio.CancelledError
            else:
                return self.deserialize(data)

    def deserialize(self, data: bytes) -> Any:
        """Returns a request from its bytes."""
        return self.request_deserializer(data) if self.request_deserializer else data

    def serialize(self, response: Any) -> bytes:
        """Returns a response as bytes."""
        return serialized(response, self.response_serializer)

    def details(self) -> str:
        """See grpc.aio.ServicerContext."""
        return self._details or ""

    def trailing_metadata(self) -> Any:
        """See grpc.aio.ServicerContext."""
        return self._trailing or ()

    async def send_message(self, message: Any) -> None:
        """Sends a message of a stream."""
        data = self.serialize(message)
        if self._encoding is None:
            self._begin(flush=False)
        compresses = self._compresses()
        if not await until_news(lambda news: self._call.send_nowait(data, compresses, news)):
            raise asyncio.CancelledError

    def failed_with(self, error: Exception) -> None:
        """Sends the status of an exception. As in grpc.aio, a code that the handler has set has priority."""
        code = self._code if self._number() else grpc.StatusCode.UNKNOWN
        self.fail(code, f"Unexpected {type(error)}: {error}")

    def _number(self) -> int:
        """Returns the number of the status. In grpc.aio it may be a number."""
        if isinstance(self._code, int) and 0 <= self._code <= _LAST_CODE:
            return self._code
        return super()._number()


class Context(_Answer, grpc.aio.ServicerContext[Any, Any]):
    """The context of an asyncio handler."""

    _is_over = False

    async def read(self) -> Any:
        """See grpc.aio.ServicerContext."""
        while True:
            data = await self.next_request()
            return grpc.aio.EOF if data is None else data

    async def write(self, message: Any) -> None:
        """See grpc.aio.ServicerContext."""
        await self.send_message(message)

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """See grpc.aio.ServicerContext."""
        if self._encoding is not None:
            raise grpc.aio.UsageError("cannot send initial metadata: they were already sent")
        self._begin(initial_metadata, flush=True)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """See grpc.aio.ServicerContext."""
        if trailing_metadata:
            self._trailing = trailing_metadata
        self.set_abort(code, details or self.details())
        raise AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """See grpc.aio.ServicerContext."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """See grpc.aio.ServicerContext."""
        self._callbacks.append(functools.partial(callback, self))

    def run_callbacks(self) -> None:
        """Calls the callbacks of `add_done_callback`."""
        self._is_over = True
        for callback in self._callbacks:
            callback()

    def cancelled(self) -> bool:
        """See grpc.aio.ServicerContext."""
        return self._is_over and self._code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """See grpc.aio.ServicerContext."""
        return self._is_over


class ThreadContext(_Answer, SyncContext):
    """The context of a synchronous handler, which runs in a thread."""

    def __init__(self, call: ServerCall, compression: grpc.Compression | None) -> None:
        super().__init__(call, compression, lambda _, call: call.is_active())


def _is_async(behavior: Callable[..., Any]) -> bool:
    called = getattr(behavior, "__call__", behavior)  # noqa: B004 - an object may have an asynchronous __call__
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in (behavior, called))


async def _request(call: ServerCall, context: _Answer) -> Any:
    data: Any = call.request()
    request = await context.next_request() if data is None else context.deserialize(data)
    if request is None:
        context.set_abort(grpc.StatusCode.UNIMPLEMENTED, "the call has no request")
        raise AbortError
    return request


async def _respond(call: ServerCall, handler: Any, context: Context) -> None:
    behavior = behavior_of(handler)
    request = _Requests(context) if handler.request_streaming else await _request(call, context)
    if not handler.response_streaming:
        response = await behavior(request, context)
        context.finish(None if context.is_aborted else context.serialize(response))
        return
    if inspect.isasyncgenfunction(behavior):
        async with contextlib.aclosing(behavior(request, context)) as responses:
            async for response in responses:
                await context.write(response)
    else:
        result = behavior(request, context)
        if hasattr(result, "__aiter__"):
            async for response in result:
                await context.write(response)
        else:
            await result
    context.finish(None)


_END = object()


async def _respond_in_thread(call: ServerCall, handler: Any, context: ThreadContext, pool: Executor | None) -> None:
    """Runs a synchronous handler. Like grpc.aio, runs each step of a stream in a thread of the pool."""
    loop = asyncio.get_running_loop()
    behavior = behavior_of(handler)
    request = _requests(context, loop) if handler.request_streaming else await _request(call, context)
    result = await loop.run_in_executor(pool, behavior, request, context)
    if not handler.response_streaming:
        context.finish(None if context.is_aborted else context.serialize(result))
        return
    try:
        while (response := await loop.run_in_executor(pool, next, result, _END)) is not _END:
            await context.send_message(response)
    finally:
        if hasattr(result, "close"):
            closing = loop.run_in_executor(pool, _close, result)
            closing.add_done_callback(_closed)
    context.finish(None)


def _closed(closing: "asyncio.Future[None]") -> None:
    if not closing.cancelled() and (error := closing.exception()):
        LOG.error("cannot close the responses of a handler", exc_info=error)


def _close(responses: Any) -> None:
    with contextlib.suppress(ValueError):  # after a cancellation, another thread may still run it
        responses.close()


def _requests(context: ThreadContext, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    try:
        while (request := asyncio.run_coroutine_threadsafe(context.next_request(), loop).result()) is not None:
            yield request
    except CancelledError as error:
        raise grpc.RpcError from error  # as on a synchronous server


class _Requests:
    """The requests of a stream, as an asynchronous iterator."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        request = await self._context.next_request()
        if request is None:
            raise StopAsyncIteration
        return request
