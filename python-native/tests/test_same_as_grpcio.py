"""Small programs that run with both engines. What a program sees is the same, or the README names the difference."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import WITHIN, grpcio_channel, native_channel, serving

NOTHING = object()
ended = threading.Event()


def _set_code(_: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    return b"ignored"


def _set_code_number(_: bytes, context: Any) -> bytes:
    context.set_code(5)
    return b""


def _set_code_unknown(_: bytes, context: Any) -> bytes:
    context.set_code(99)
    return b""


def _set_code_text(_: bytes, context: Any) -> bytes:
    context.set_code("NOT_FOUND")
    return b""


def _set_details_only(_: bytes, context: Any) -> bytes:
    context.set_details("fine")
    return b"answer"


def _abort(code: Any, details: Any) -> Callable[..., Any]:
    return lambda _, context: context.abort(code, details)


def _abort_caught(_: bytes, context: Any) -> bytes:
    with contextlib.suppress(Exception):
        context.abort(grpc.StatusCode.ABORTED, "first")
    return b"after"


def _abort_finally(_: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("x-last", "set"),))
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.abort(grpc.StatusCode.ABORTED, "second")
    return b""


class _Status(grpc.Status):
    code = grpc.StatusCode.DATA_LOSS
    details = "lost"
    trailing_metadata = (("x-last", "status"),)


def _abort_with_status(_: bytes, context: Any) -> bytes:
    context.abort_with_status(_Status())
    return b""


def _raise(*_: Any) -> bytes:
    raise LookupError("no such thing")


def _raise_after_code(_: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    raise LookupError("no such thing")


def _raise_rpc_error(*_: Any) -> bytes:
    raise grpc.RpcError("odd")


def _context_of(_: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.OK)
    context.set_details("text")
    context.set_trailing_metadata((("x-a", "b"),))
    seen = [
        context.is_active(),
        context.time_remaining() is None or 0 < context.time_remaining() < WITHIN + 1,
        context.code(),
        context.details() in ("text", b"text"),
        tuple(context.trailing_metadata()),
        type(context.invocation_metadata()).__name__,
        isinstance(context, grpc.ServicerContext),
        isinstance(context.auth_context(), dict),
        context.peer().startswith("unix:"),
    ]
    return repr(seen).encode()


def _fresh_context(_: bytes, context: Any) -> bytes:
    return repr([context.code(), context.details(), context.trailing_metadata()]).encode()


def _caught(what: Callable[[], Any]) -> str:
    try:
        return f"returned {what()!r}"
    except Exception as error:  # noqa: BLE001 - the program compares what it catches
        return f"raised {type(error).__name__}"


def _initial_twice(_: bytes, context: Any) -> bytes:
    context.send_initial_metadata((("x-first", "1"),))
    return _caught(lambda: context.send_initial_metadata((("x-first", "2"),))).encode()


def _cancel(_: bytes, context: Any) -> bytes:
    context.cancel()
    return b"answer"


def _bad_initial(_: bytes, context: Any) -> bytes:
    context.send_initial_metadata((("X-Upper", "1"),))
    return b""


def _bad_trailing(_: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("X-Upper", "1"),))
    return b""


def _callback(_: bytes, context: Any) -> bytes:
    ended.clear()
    return repr(context.add_callback(ended.set)).encode()


def _remaining(_: bytes, context: Any) -> bytes:
    left = context.time_remaining()
    return b"none" if left is None else b"long" if left > 10**6 else b"short"


def _block(_: bytes, context: Any) -> bytes:
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait(WITHIN)
    return b""


def _block_stream(request: bytes, context: Any) -> Iterator[bytes]:
    yield request
    _block(request, context)


def _stream_code(_: bytes, context: Any) -> Iterator[bytes]:
    yield b"one"
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")


def _stream_raise(*_: Any) -> Iterator[bytes]:
    yield b"one"
    raise LookupError("no such thing")


def _stream_abort(_: bytes, context: Any) -> Iterator[bytes]:
    yield b"one"
    context.abort(grpc.StatusCode.ABORTED, "stop")


def _echo(request: bytes, _: Any) -> bytes:
    return request


def _metadata(_: bytes, context: Any) -> bytes:
    return repr(sorted(tuple(each) for each in context.invocation_metadata() if each[0].startswith("x-"))).encode()


def _fail(_: Any) -> Any:
    raise LookupError("cannot convert")


def _join(requests: Iterator[bytes], _: Any) -> bytes:
    return b"".join(requests)


def _first_of(requests: Iterator[bytes], _: Any) -> bytes:
    return next(requests)


def _reply(requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
    yield from requests


_UNARY: dict[str, Callable[..., Any]] = {
    "Echo": _echo,
    "SetCode": _set_code,
    "SetCodeNumber": _set_code_number,
    "SetCodeUnknown": _set_code_unknown,
    "SetCodeText": _set_code_text,
    "SetDetails": _set_details_only,
    "Abort": _abort(grpc.StatusCode.ABORTED, "stop"),
    "AbortOk": _abort(grpc.StatusCode.OK, "fine"),
    "AbortNumber": _abort(5, "number"),
    "AbortCaught": _abort_caught,
    "AbortFinally": _abort_finally,
    "AbortWithStatus": _abort_with_status,
    "Raise": _raise,
    "RaiseAfterCode": _raise_after_code,
    "RaiseRpcError": _raise_rpc_error,
    "Context": _context_of,
    "FreshContext": _fresh_context,
    "InitialTwice": _initial_twice,
    "Cancel": _cancel,
    "BadInitial": _bad_initial,
    "BadTrailing": _bad_trailing,
    "Callback": _callback,
    "Remaining": _remaining,
    "Block": _block,
    "None": lambda *_: None,
    "Metadata": _metadata,
}
_STREAMS: dict[str, Callable[..., Any]] = {
    "Block": _block_stream,
    "Code": _stream_code,
    "Raise": _stream_raise,
    "Abort": _stream_abort,
    "List": lambda *_: iter([b"one", b"two"]),
    "Nothing": lambda *_: None,
    "Array": lambda *_: [b"one"],
    "RaiseAtOnce": _raise,
}
HANDLERS: dict[str, Any] = {
    **{name: grpc.unary_unary_rpc_method_handler(each) for name, each in _UNARY.items()},
    **{f"Stream{name}": grpc.unary_stream_rpc_method_handler(each) for name, each in _STREAMS.items()},
    "BadDeserializer": grpc.unary_unary_rpc_method_handler(_echo, request_deserializer=_fail),
    "BadSerializer": grpc.unary_unary_rpc_method_handler(_echo, response_serializer=_fail),
    "StreamBadSerializer": grpc.unary_stream_rpc_method_handler(lambda *_: iter([b""]), response_serializer=_fail),
    "Join": grpc.stream_unary_rpc_method_handler(_join),
    "FirstOf": grpc.stream_unary_rpc_method_handler(_first_of),
    "Reply": grpc.stream_stream_rpc_method_handler(_reply),
}


def outcome(work: Callable[[], Any]) -> Any:
    """Returns what work returns, or the error that it raises."""
    try:
        return work()
    except grpc.RpcError as error:
        return _error(error)
    except Exception as error:  # noqa: BLE001 - the program compares what it catches
        return type(error).__name__


def _error(error: Any) -> Any:
    if error is None:
        return None
    return error.code().name, error.details(), *_kinds(error)


def _kinds(what: Any) -> list[str]:
    return [kind.__name__ for kind in (grpc.RpcError, grpc.Call, grpc.Future) if isinstance(what, kind)]


def _state(call: Any) -> Any:
    return call.done(), call.running(), call.cancelled(), call.is_active(), call.cancel()


def _pairs(metadata: Any) -> Any:
    return sorted(tuple(each) for each in metadata if each[0].startswith("x-"))


class Caller:
    """Calls the methods of one engine."""

    def __init__(self, channel: grpc.Channel, path: Path) -> None:
        self.channel = channel
        self.path = path

    def unary(self, name: str, **codecs: Any) -> Any:
        return self.channel.unary_unary(f"/test.Test/{name}", **codecs)

    def stream(self, name: str, **codecs: Any) -> Any:
        return self.channel.unary_stream(f"/test.Test/{name}", **codecs)

    def call(self, name: str, **options: Any) -> Any:
        return self.unary(name)(b"", **{"timeout": WITHIN, **options})

    def future(self, name: str = "Block", **options: Any) -> Any:
        return self.unary(name).future(b"", **{"timeout": WITHIN, **options})

    def blocked(self) -> Any:
        """Returns a stream whose first response has been read, and whose handler waits."""
        call = self.stream("StreamBlock")(b"first", timeout=WITHIN)
        assert next(call) == b"first"
        return call


def _unary(name: str, **options: Any) -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        call = caller.future(name, **options)
        found = outcome(call.result), call.code().name, call.details(), _pairs(call.trailing_metadata())
        return found, _pairs(call.initial_metadata())

    return program


def _stream(name: str) -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        call = caller.stream(name)(b"", timeout=WITHIN)
        messages: list[bytes] = []
        return outcome(lambda: messages.extend(call)), messages, call.code().name, call.details()

    return program


def _with_call(caller: Caller) -> Any:
    response, call = caller.unary("Metadata").with_call(b"", timeout=WITHIN, metadata=(("x-a", "1"), ("x-a", "2")))
    return response, call.code(), call.details(), call.is_active(), _kinds(call), _pairs(call.initial_metadata())


def _ended_future(caller: Caller) -> Any:
    call = caller.future("Echo")
    return call.result(), call.result(0), call.exception(), call.traceback(), call.done(), call.running(), _kinds(call)


def _failed_future(caller: Caller) -> Any:
    call = caller.future("Abort")
    error = outcome(call.result)
    return error, _error(call.exception()), type(call.traceback()).__name__, *_state(call)


def _running_future(caller: Caller) -> Any:
    call = caller.future()
    found = [outcome(lambda: call.result(timeout=0.01)), outcome(lambda: call.exception(timeout=0.01))]
    found += [outcome(lambda: call.traceback(timeout=0.01)), call.done(), call.running(), call.is_active()]
    call.cancel()
    return found


def _cancelled_future(caller: Caller) -> Any:
    call = caller.future()
    found = [call.cancel(), call.cancel(), call.cancelled(), call.done(), call.running(), call.code(), call.details()]
    return found, [outcome(read) for read in (call.result, call.exception, call.traceback)]


def _cancelled_stream(caller: Caller) -> Any:
    call = caller.blocked()
    found = [call.cancel(), outcome(lambda: next(call)), outcome(lambda: next(call)), call.cancelled(), call.code()]
    return found, outcome(call.result), outcome(call.exception)


def _ended_stream(caller: Caller) -> Any:
    call = caller.stream("StreamList")(b"", timeout=WITHIN)
    messages = list(call)
    found = messages, call.result(), call.exception(), outcome(lambda: next(call)), list(call)
    return found, call.code(), call.done(), call.cancel(), call.is_active()


def _running_stream(caller: Caller) -> Any:
    call = caller.blocked()
    found = [call.is_active(), call.done(), call.running(), call.cancelled(), _kinds(call)]
    call.cancel()
    return found


def _code_while_running(caller: Caller) -> Any:
    call = caller.blocked()
    timer = threading.Timer(0.05, call.cancel)
    timer.start()
    return call.code(), call.details(), list(call.trailing_metadata())


def _callbacks(caller: Caller) -> Any:
    call = caller.future("Echo")
    called: list[str] = []
    done = threading.Event()
    call.add_done_callback(lambda found: called.append(str(found is call)))
    call.add_done_callback(lambda _: done.set())
    call.result()
    assert done.wait(WITHIN)
    late = call.add_callback(lambda: called.append("never"))
    call.add_done_callback(lambda found: called.append(f"late {found is call}"))
    deadline = time.monotonic() + WITHIN
    while len(called) < 2 and time.monotonic() < deadline:
        done.wait(0.001)
    return late, called


def _callback_raises(caller: Caller) -> Any:
    added, done = threading.Event(), threading.Event()

    def requests() -> Iterator[bytes]:
        added.wait(WITHIN)  # a callback of a call that has ended would raise here
        yield b"a"

    join: Any = caller.channel.stream_unary("/test.Test/Join")
    call = join.future(requests(), timeout=WITHIN)
    call.add_done_callback(_fail)
    call.add_done_callback(lambda _: done.set())
    added.set()
    return call.result(), done.wait(WITHIN)


def _handler_callback(caller: Caller) -> Any:
    return caller.call("Callback"), ended.wait(WITHIN)


def _time_remaining(caller: Caller) -> Any:
    call, forever = caller.future(timeout=WITHIN), caller.future(timeout=None)
    found = 0 < call.time_remaining() < WITHIN + 1, forever.time_remaining()
    call.cancel()
    forever.cancel()
    return found


def _late(timeout: float) -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        call = caller.stream("StreamBlock")(b"", timeout=timeout)
        return (
            outcome(lambda: caller.call("Block", timeout=timeout)),
            outcome(caller.future(timeout=timeout).result),
            outcome(lambda: list(call)),
        )

    return program


def _initial_before_answer(caller: Caller) -> Any:
    call = caller.future()
    threading.Timer(0.05, call.cancel).start()
    return list(call.initial_metadata())


def _sent(metadata: Any) -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        stream = caller.stream("StreamList")
        return (
            outcome(lambda: caller.call("Metadata", metadata=metadata)),
            outcome(lambda: caller.future("Metadata", metadata=metadata).result()),
            outcome(lambda: list(stream(b"", timeout=WITHIN, metadata=metadata))),
        )

    return program


def _codec(**codecs: Any) -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        unary, stream = caller.unary("Echo", **codecs), caller.stream("StreamList", **codecs)
        join = caller.channel.stream_unary("/test.Test/Join", **codecs)
        return (
            outcome(lambda: unary(b"x", timeout=WITHIN)),
            outcome(lambda: unary.future(b"x", timeout=WITHIN).result()),
            outcome(lambda: list(stream(b"x", timeout=WITHIN))),
            outcome(lambda: join(iter([b"x"]), timeout=WITHIN)),
        )

    return program


def _requests(requests: Callable[[], Any], name: str = "Join") -> Callable[[Caller], Any]:
    def program(caller: Caller) -> Any:
        join: Any = caller.channel.stream_unary(f"/test.Test/{name}")
        reply: Any = caller.channel.stream_stream("/test.Test/Reply")
        return (
            outcome(lambda: join(requests(), timeout=WITHIN)),
            outcome(lambda: join.with_call(requests(), timeout=WITHIN)[0]),
            outcome(lambda: join.future(requests(), timeout=WITHIN).result()),
            outcome(lambda: list(reply(requests(), timeout=WITHIN))),
        )

    return program


def _raising() -> Iterator[bytes]:
    yield b"one"
    raise LookupError("no more")


def _closed_channel(caller: Caller) -> Any:
    call = caller.blocked()
    caller.channel.close()
    return (
        outcome(lambda: next(call)),
        outcome(lambda: caller.call("Echo")),
        outcome(lambda: caller.future("Echo").result()),
        outcome(lambda: list(caller.stream("StreamList")(b"", timeout=WITHIN))),
    )


def _ready(caller: Caller) -> Any:
    ready = grpc.channel_ready_future(caller.channel)
    return ready.result(timeout=WITHIN), ready.done(), ready.cancelled(), ready.cancel()


def _states(caller: Caller) -> Any:
    seen: list[str] = []
    ready = threading.Event()

    def note(state: grpc.ChannelConnectivity) -> None:
        seen.append(state.name)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    caller.channel.subscribe(note, try_to_connect=True)
    assert ready.wait(WITHIN)
    caller.channel.unsubscribe(note)
    return seen[0], seen[-1]


def _credentials(caller: Caller) -> Any:
    token = grpc.access_token_call_credentials("secret")
    call = caller.stream("StreamList")
    return (
        outcome(lambda: caller.call("Echo", credentials=token)),
        outcome(lambda: caller.future("Echo", credentials=token).result()),
        outcome(lambda: list(call(b"", timeout=WITHIN, credentials=token))),
    )


def _codes(program: Callable[[Caller], Any]) -> Callable[[Caller], Any]:
    """Returns the program without the details of its errors, which C-core or this engine writes."""
    return lambda caller: [(found[0], *found[2:]) if isinstance(found, tuple) else found for found in program(caller)]


def _cancelled_by_server(caller: Caller) -> Any:
    call = caller.future("Cancel")
    return outcome(call.result), _error(call.exception()), call.cancelled()


PROGRAMS: dict[str, Callable[[Caller], Any]] = {
    **{f"unary {name}": _unary(name) for name in _UNARY if name not in ("Block", "Callback")},
    **{f"unary {name}": _unary(name) for name in ("BadDeserializer", "BadSerializer", "Missing")},
    **{f"stream {name}": _stream(f"Stream{name}") for name in (*_STREAMS, "BadSerializer") if name != "Block"},
    "with_call": _with_call,
    "a future that has ended": _ended_future,
    "a future that has failed": _failed_future,
    "a future that runs": _running_future,
    "a future that is cancelled": _cancelled_future,
    "a future that the server cancels": _cancelled_by_server,
    "a stream that is cancelled": _cancelled_stream,
    "a stream that has ended": _ended_stream,
    "a stream that runs": _running_stream,
    "code() while a stream runs": _code_while_running,
    "callbacks of a future": _callbacks,
    "a callback that raises": _callback_raises,
    "a callback of a handler": _handler_callback,
    "time_remaining": _time_remaining,
    "no time": _codes(_late(0)),
    "a negative time": _codes(_late(-1)),
    "a short time": _codes(_late(0.05)),
    "a long time": lambda caller: caller.call("Remaining", timeout=10**9),
    "a time that is no number": lambda caller: outcome(lambda: caller.call("Remaining", timeout="1")),
    "initial_metadata before the answer": _initial_before_answer,
    "metadata": _sent((("x-a", "1"), ("x-bin", b"\x00\xff"), ("x-a", "2"))),
    "metadata in a list": _sent([("x-a", "1")]),
    "empty metadata": _sent(()),
    "metadata with spaces": _sent((("x-a", " a  b "),)),
    "metadata with bytes": _sent((("x-a", b"text"),)),
    "metadata with an invalid key": _codes(_sent((("X-A", "1"),))),
    "metadata with an empty key": _codes(_sent((("", "1"),))),
    "metadata with an invalid value": _codes(_sent((("x-a", "\n"),))),
    "metadata with a number": _sent((("x-a", 1),)),
    "metadata with text for -bin": _sent((("x-bin", "text"),)),
    "a serializer that raises": _codec(request_serializer=_fail),
    "a serializer that returns None": _codec(request_serializer=lambda _: None),
    "a deserializer that raises": _codec(response_deserializer=_fail),
    "requests": _requests(lambda: iter([b"a", b"b"])),
    "requests in a list": _requests(lambda: [b"a", b"b"]),
    "no requests": _requests(lambda: iter([])),
    "requests that raise": _requests(_raising),
    "requests that are None": _requests(lambda: None),
    "requests that a handler does not read": _requests(lambda: iter([b"a", b"b"]), "FirstOf"),
    "a request of a wrong type": lambda caller: outcome(lambda: caller.unary("Echo")("text", timeout=WITHIN)),
    "a closed channel": _codes(_closed_channel),
    "channel_ready_future": _ready,
    "connectivity": _states,
    "call credentials without TLS": _codes(_credentials),
}


@contextlib.contextmanager
def grpcio_serving(path: Path, handlers: dict[str, Any]) -> Iterator[None]:
    """Runs a synchronous server of grpcio with methods of `/test.Test/`."""
    server = grpc.server(futures.ThreadPoolExecutor(20))
    server.add_registered_method_handlers("test.Test", handlers)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        assert server.stop(None).wait(WITHIN)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_sees_the_same_with_both_engines(tmp_path: Path, name: str) -> None:
    seen = {}
    engines: dict[str, tuple[Any, Any]] = {
        "grpcio": (grpcio_serving, grpcio_channel),
        "native": (functools.partial(serving, max_workers=20), native_channel),
    }
    for engine, (serve, connect) in engines.items():
        path = tmp_path / engine
        with serve(path, HANDLERS), connect(path) as channel:
            seen[engine] = repr(PROGRAMS[name](Caller(channel, path)))
    assert seen["native"] == seen["grpcio"]
