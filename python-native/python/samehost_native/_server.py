"""The synchronous server, a grpc.Server."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from samehost_native._common import HANDSHAKE_SECONDS, LOG, MAX_MESSAGE_BYTES, Keepalive, serialized
from samehost_native._context import AbortError, Context
from samehost_native._engine import Server as Engine
from samehost_native._engine import ServerCall, ServerTls
from samehost_native._handlers import Handlers, behavior_of

_LOOK_SECONDS = 5.0
"""How often a waiting worker checks whether the server has stopped. A stop also wakes it."""


class Server(grpc.Server):
    """Serves gRPC on the Unix domain sockets of `listen`, with a limited number of threads.

    Args:
        max_workers: the most threads for running calls. The server starts them when it needs them.
        interceptors: instances of grpc.ServerInterceptor. The first one is the outermost.
        max_concurrent_calls: the most calls in progress. Further calls fail with RESOURCE_EXHAUSTED. The default is
            `max_workers`.
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
        log: the logger for exceptions of handlers.
    """

    def __init__(
        self,
        *,
        max_workers: int = 100,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        max_concurrent_calls: int | None = None,
        max_receive: int = MAX_MESSAGE_BYTES,
        max_send: int = MAX_MESSAGE_BYTES,
        compression: grpc.Compression | None = None,
        decompress: bool = True,
        tls: ServerTls | None = None,
        handshake: float = HANDSHAKE_SECONDS,
        keepalive: Keepalive | None = None,
        max_connection_age: float | None = None,
        log: logging.Logger = LOG,
    ) -> None:
        limit = max_concurrent_calls or max_workers
        refusal = f"the server has reached its limit of {limit} calls in progress; try again later"
        self._engine = Engine(
            max_calls=limit,
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
        self._log = log
        self._max_workers = max_workers
        self._workers = 0
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._stopping: threading.Event | None = None
        self._watched: dict[int, Context] = {}
        self._watches = False

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """See grpc.Server."""
        self._handlers.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """See grpc.Server."""
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

    def start(self) -> None:
        """See grpc.Server."""
        self._engine.start_guard()
        self._start_worker()
        threading.Thread(target=self._dispatch_exempt, name="samehost-dispatch", daemon=True).start()

    def stop(self, grace: float | None) -> threading.Event:
        """Stops the server. Clients move to the next server, and retry calls that this server has not seen.

        Args:
            grace: seconds that the calls in progress have to finish. None ends them at once.

        Returns:
            An event that is set when the server has stopped.
        """
        with self._changing:
            if self._stopping is None:
                self._stopping = threading.Event()
                stop = threading.Thread(target=self._stop, args=(grace, self._stopping), daemon=True)
                stop.start()
            elif not grace:
                self._engine.abort()
        return self._stopping

    def wait_for_termination(self, timeout: float | None = None) -> bool:
        """See grpc.Server. Returns True if the timeout passed first."""
        return not self._ended.wait(timeout)

    def _stop(self, grace: float | None, stopped: threading.Event) -> None:
        self._engine.drain()
        if grace:
            self._engine.wait_quiet(grace)
        self._engine.abort()
        self._ended.set()
        self._engine.release_workers()
        stopped.set()

    def _start_worker(self) -> None:
        with self._changing:
            if self._workers < self._max_workers:
                self._workers += 1
                threading.Thread(target=self._work, name=f"samehost-{self._workers}", daemon=True).start()

    def _work(self) -> None:
        engine = self._engine
        while not self._ended.is_set():
            call = engine.next(False, _LOOK_SECONDS)
            if call is not None:
                if not engine.idle():
                    self._start_worker()  # for the next call
                self._handle(call)
                del call  # it keeps its connection open

    def _dispatch_exempt(self) -> None:
        """Runs calls in the thread pools of their methods, as grpcio does (`experimental_thread_pool`)."""
        while not self._ended.is_set():
            call = self._engine.next(True, _LOOK_SECONDS)
            if call is not None:
                handler = self._handlers.registered[call.method]
                self._handlers.pool_of(handler).submit(self._handle, call)
                del call

    def _handle(self, call: ServerCall) -> None:
        context = Context(call, self._compression, self._watch)
        try:
            handler = self._handlers.find(call)
            if handler is None:
                call.finish(grpc.StatusCode.UNIMPLEMENTED.value[0], "Method not found!", None, None, False)
                return
            _respond(call, handler, context)
        except AbortError:
            context.finish(None)
        except _IterationError as error:
            self._raised(call, context, "Exception iterating responses", error.cause)
        except Exception as error:
            self._raised(call, context, "Exception calling application", error)
        finally:
            context.run_callbacks()
            self._watched.pop(id(context), None)

    def _raised(self, call: ServerCall, context: Context, what: str, error: Exception) -> None:
        if not call.is_active():
            return  # the client has gone
        self._log.error("%s raised %s", call.method, type(error).__name__, exc_info=error)
        context.raised(what, error)

    def _watch(self, context: Context, call: ServerCall) -> bool:
        with self._changing:
            if not self._watched and not self._watches:
                self._watches = True
                threading.Thread(target=self._call_back, name="samehost-callbacks", daemon=True).start()
        self._watched[id(context)] = context
        return call.watch(id(context))

    def _call_back(self) -> None:
        """Runs the callbacks of handlers whose calls have ended early."""
        while not self._ended.is_set():
            name = self._engine.next_over(_LOOK_SECONDS)
            if name is not None and (context := self._watched.get(name)):
                context.run_callbacks()


def _respond(call: ServerCall, handler: Any, context: Context) -> None:
    request = _requests(call, handler, context) if handler.request_streaming else _request(call, handler, context)
    behavior, serializer = behavior_of(handler), handler.response_serializer
    if not handler.response_streaming:
        context.finish(_serialize(behavior(request, context), serializer, context))
        return
    responses = behavior(request, context)
    try:
        while (response := _next(responses)) is not _END:
            if not context.send(_serialize(response, serializer, context)):
                break
    finally:
        if hasattr(responses, "close"):
            responses.close()
    context.finish(None)


_END = object()


class _IterationError(Exception):
    """A streaming handler raised an exception after it had begun."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def _next(responses: Iterator[Any]) -> Any:
    try:
        return next(responses)
    except StopIteration:
        return _END
    except AbortError:
        raise
    except Exception as error:
        raise _IterationError(error) from error


def _request(call: ServerCall, handler: Any, context: Context) -> Any:
    data: Any = call.request()
    if data is None:  # the engine did not know that the method has one request
        data = call.receive()
    if data is None or data is False:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the call has no request")
    return _deserialize(data, handler.request_deserializer, context)


def _requests(call: ServerCall, handler: Any, context: Context) -> Iterator[Any]:
    while (data := call.receive()) is not None:
        if data is False:
            raise grpc.RpcError
        yield _deserialize(data, handler.request_deserializer, context)


def _deserialize(data: bytes, deserializer: Callable[[bytes], Any] | None, context: Context) -> Any:
    try:
        return deserializer(data) if deserializer else data
    except Exception as error:
        LOG.error("cannot deserialize a request", exc_info=error)
        context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")


def _serialize(response: Any, serializer: Callable[[Any], bytes] | None, context: Context) -> bytes:
    try:
        return serialized(response, serializer)
    except Exception as error:
        LOG.error("cannot serialize a response", exc_info=error)
        context.abort(grpc.StatusCode.INTERNAL, "Failed to serialize response!")
