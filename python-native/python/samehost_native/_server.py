"""The synchronous server, behind grpc.Server."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from samehost_native._common import MAX_MESSAGE_BYTES, serialized
from samehost_native._context import AbortError, Context
from samehost_native._engine import Server as Engine
from samehost_native._engine import ServerCall
from samehost_native._handlers import Handlers, behavior_of

_LOG = logging.getLogger("samehost_native")

_LOOK_SECONDS = 5.0
"""How often a worker that waits looks whether the server has ended, although it is woken then."""


class Server(grpc.Server):
    """Serves gRPC over Unix domain sockets that it is given, with a bounded number of threads.

    Args:
        max_workers: threads for calls in progress, each started when it is needed.
        interceptors: instances of grpc.ServerInterceptor, the first one outermost.
        max_concurrent_calls: calls in progress beyond which a call is refused with RESOURCE_EXHAUSTED; by default as
            many as there are threads.
        max_receive: the longest message that is received, in bytes.
        max_send: the longest message that is sent, in bytes.
        compression: of responses, unless a handler says otherwise.
        decompress: decompress requests; otherwise they are handed over as they came.
        log: takes what handlers raise.
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
        log: logging.Logger = _LOG,
    ) -> None:
        limit = max_concurrent_calls or max_workers
        refusal = f"the server has its limit of {limit} calls in progress; try again later"
        self._engine = Engine(
            max_calls=limit, refusal=refusal, max_receive=max_receive, max_send=max_send, decompress=decompress
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
        """As grpc.Server has it."""
        self._handlers.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """As grpc.Server has it."""
        self._handlers.add_registered(service_name, method_handlers)

    def listen(self, descriptor: int) -> None:
        """Serves on a copy of a descriptor of a Unix socket that listens, until the server stops."""
        self._engine.listen(descriptor)

    def add_insecure_port(self, address: str) -> int:
        """Refused: this engine does not bind; give it a socket with `listen`."""
        raise NotImplementedError(f"cannot bind {address}: give this engine a listening socket with listen()")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Refused: this engine speaks no TLS."""
        raise NotImplementedError(f"cannot serve TLS on {address}: this engine speaks plaintext only")

    def start(self) -> None:
        """As grpc.Server has it."""
        self._engine.start_guard()
        self._start_worker()
        threading.Thread(target=self._dispatch_exempt, name="samehost-dispatch", daemon=True).start()

    def stop(self, grace: float | None) -> threading.Event:
        """Refuses new calls in a way that clients make again by themselves, and ends those that outlast the grace.

        Args:
            grace: seconds for the calls in progress; None ends them at once.

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
        """As grpc.Server has it; True when the timeout came first."""
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
                    self._start_worker()  # so that somebody takes the next call
                self._handle(call)

    def _dispatch_exempt(self) -> None:
        """Hands calls to the pools that their methods have, as grpc does (`experimental_thread_pool`)."""
        while not self._ended.is_set():
            call = self._engine.next(True, _LOOK_SECONDS)
            if call is not None:
                handler = self._handlers.registered[call.method]
                self._handlers.pool_of(handler).submit(self._handle, call)

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
        except Exception as error:
            if not call.is_active():
                return  # nobody waits for it
            self._log.error("%s raised %s", call.method, type(error).__name__, exc_info=error)
            context.fail(grpc.StatusCode.UNKNOWN, f"Exception calling application: {error}")
        finally:
            context.run_callbacks()
            self._watched.pop(id(context), None)

    def _watch(self, context: Context, call: ServerCall) -> bool:
        with self._changing:
            if not self._watched and not self._watches:
                self._watches = True
                threading.Thread(target=self._call_back, name="samehost-callbacks", daemon=True).start()
        self._watched[id(context)] = context
        return call.watch(id(context))

    def _call_back(self) -> None:
        """Calls what handlers want to have called when their clients have gone."""
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
        for response in responses:
            if not context.send(_serialize(response, serializer, context)):
                break
    finally:
        if hasattr(responses, "close"):
            responses.close()
    context.finish(None)


def _request(call: ServerCall, handler: Any, context: Context) -> Any:
    data: Any = call.request()
    if data is None:  # the engine did not know that there is one request
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
        _LOG.error("cannot deserialize a request", exc_info=error)
        context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")


def _serialize(response: Any, serializer: Callable[[Any], bytes] | None, context: Context) -> bytes:
    try:
        return serialized(response, serializer)
    except Exception as error:
        _LOG.error("cannot serialize a response", exc_info=error)
        context.abort(grpc.StatusCode.INTERNAL, "Failed to serialize response!")
