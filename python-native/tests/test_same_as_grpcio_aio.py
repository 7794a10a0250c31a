"""Small programs of asyncio that run with both engines. What a program sees is the same, or the README names the
difference."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native.aio
from conftest import WITHIN, listening
from test_same_as_grpcio import HANDLERS as THREAD_HANDLERS
from test_same_as_grpcio import ended


async def _echo(request: bytes, _: Any) -> bytes:
    return request


async def _set_code(_: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    return b"ignored"


async def _set_code_number(_: bytes, context: Any) -> bytes:
    context.set_code(5)
    return b""


async def _set_details_only(_: bytes, context: Any) -> bytes:
    context.set_details("fine")
    return b"answer"


def _abort(code: Any, *details: Any) -> Callable[..., Any]:
    async def abort(_: bytes, context: Any) -> bytes:
        await context.abort(code, *details)
        return b""

    return abort


async def _abort_finally(_: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("x-last", "set"),))
    context.set_details("first")
    await context.abort(grpc.StatusCode.ABORTED)
    return b""


async def _abort_caught(_: bytes, context: Any) -> bytes:
    with contextlib.suppress(Exception):
        await context.abort(grpc.StatusCode.ABORTED, "first")
    return b"after"


async def _raise(*_: Any) -> bytes:
    raise LookupError("no such thing")


async def _raise_after_code(_: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    raise LookupError("no such thing")


async def _initial_twice(_: bytes, context: Any) -> bytes:
    await context.send_initial_metadata((("x-first", "1"),))
    try:
        await context.send_initial_metadata((("x-first", "2"),))
    except Exception as error:  # noqa: BLE001 - the program compares what it catches
        return type(error).__name__.encode()
    return b"sent"


async def _context_of(_: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("x-a", "b"),))
    seen = [
        0 < context.time_remaining() < WITHIN + 1,
        tuple(context.trailing_metadata()),
        context.done(),
        context.cancelled(),
        isinstance(context.auth_context(), dict),
        context.peer().startswith("unix:"),
    ]
    return repr(seen).encode()


async def _fresh_context(_: bytes, context: Any) -> bytes:
    return repr([context.code(), context.details(), tuple(context.trailing_metadata())]).encode()


async def _block(*_: Any) -> bytes:
    await asyncio.sleep(WITHIN)
    return b""


async def _count(*_: Any) -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def _stream_raise(*_: Any) -> AsyncIterator[bytes]:
    yield b"one"
    raise LookupError("no such thing")


async def _stream_block(*_: Any) -> AsyncIterator[bytes]:
    yield b"one"
    await asyncio.sleep(WITHIN)


async def _stream_code(_: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    context.set_code(grpc.StatusCode.NOT_FOUND)


async def _stream_write(_: bytes, context: Any) -> None:
    await context.write(b"one")
    await context.write(b"two")


async def _join(requests: Any, _: Any) -> bytes:
    return b"".join([request async for request in requests])


async def _read(_: Any, context: Any) -> bytes:
    requests = []
    while (request := await context.read()) is not grpc.aio.EOF:
        requests.append(request)
    return b"".join(requests)


async def _reply(requests: Any, _: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


def _fail(_: Any) -> Any:
    raise LookupError("cannot convert")


_UNARY: dict[str, Any] = {
    "Echo": _echo,
    "SetCode": _set_code,
    "SetCodeNumber": _set_code_number,
    "SetDetails": _set_details_only,
    "Abort": _abort(grpc.StatusCode.ABORTED, "stop"),
    "AbortNumber": _abort(5, "number"),
    "AbortFinally": _abort_finally,
    "AbortCaught": _abort_caught,
    "Raise": _raise,
    "RaiseAfterCode": _raise_after_code,
    "InitialTwice": _initial_twice,
    "Context": _context_of,
    "FreshContext": _fresh_context,
    "Block": _block,
}
_STREAMS: dict[str, Any] = {
    "Count": _count,
    "Raise": _stream_raise,
    "Block": _stream_block,
    "Code": _stream_code,
    "Write": _stream_write,
}
HANDLERS: dict[str, Any] = {
    **{name: grpc.unary_unary_rpc_method_handler(each) for name, each in _UNARY.items()},
    **{f"Stream{name}": grpc.unary_stream_rpc_method_handler(each) for name, each in _STREAMS.items()},
    "BadSerializer": grpc.unary_unary_rpc_method_handler(_echo, response_serializer=_fail),
    "BadDeserializer": grpc.unary_unary_rpc_method_handler(_echo, request_deserializer=_fail),
    "Join": grpc.stream_unary_rpc_method_handler(_join),
    "Read": grpc.stream_unary_rpc_method_handler(_read),
    "Reply": grpc.stream_stream_rpc_method_handler(_reply),
}
_IN_THREADS = (
    *("Echo", "SetCode", "SetDetails", "Abort", "AbortNumber", "AbortFinally", "Raise", "RaiseAfterCode"),
    *("RaiseRpcError", "Remaining", "Metadata", "BadSerializer", "BadDeserializer"),
)
_STREAMS_IN_THREADS = ("Code", "Raise", "List", "RaiseAtOnce")


async def outcome(work: Callable[[], Any]) -> Any:
    """Returns what work returns, or the error that it raises."""
    try:
        found = work()
        return await found if isinstance(found, Awaitable) else found
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    except asyncio.CancelledError:
        return "CancelledError"
    except Exception as error:  # noqa: BLE001 - the program compares what it catches
        return type(error).__name__


async def messages_of(call: Any) -> Any:
    """Returns the responses of a stream and how it ended."""
    messages: list[bytes] = []

    async def read() -> None:
        async for message in call:
            messages.append(message)  # noqa: PERF401 - the messages before an error count

    return messages, await outcome(read)


def _pairs(metadata: Any) -> Any:
    return sorted(tuple(each) for each in metadata if each[0].startswith("x-"))


Program = Callable[[Any], Awaitable[Any]]


def _unary(name: str, service: str = "test.Test") -> Program:
    async def program(channel: Any) -> Any:
        call: Any = channel.unary_unary(f"/{service}/{name}")(b"x", timeout=WITHIN)
        found = await outcome(lambda: call), (await call.code()).name, await call.details()
        return found, _pairs(await call.initial_metadata()), _pairs(await call.trailing_metadata())

    return program


def _stream(name: str, service: str = "test.Test") -> Program:
    async def program(channel: Any) -> Any:
        call: Any = channel.unary_stream(f"/{service}/Stream{name}")(b"x", timeout=WITHIN)
        return await messages_of(call), (await call.code()).name, await call.details()

    return program


def _requests(name: str, service: str = "test.Test", *, streams: bool = False) -> Program:
    async def program(channel: Any) -> Any:
        method = f"/{service}/{name}"
        if streams:
            return await messages_of(channel.stream_stream(method)(iter([b"a", b"b"]), timeout=WITHIN))
        join: Any = channel.stream_unary(method)
        written = join(timeout=WITHIN)
        await written.write(b"c")
        await written.done_writing()
        return await outcome(lambda: join(iter([b"a", b"b"]), timeout=WITHIN)), await outcome(lambda: written)

    return program


async def _cancelled(channel: Any) -> Any:
    call: Any = channel.unary_unary("/test.Test/Block")(b"", timeout=WITHIN)
    found = call.done(), call.cancelled(), call.cancel(), call.cancel(), call.done(), call.cancelled()
    return found, await call.code(), await call.details(), await outcome(lambda: call)


async def _cancelled_stream(channel: Any) -> Any:
    call: Any = channel.unary_stream("/test.Test/StreamBlock")(b"", timeout=WITHIN)
    found = await call.read(), call.cancel(), await messages_of(call), await outcome(call.read)
    return found, await call.code(), call.cancelled(), call.done()


async def _ended(channel: Any) -> Any:
    call: Any = channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN)
    found = await call, await call, call.done(), call.cancelled(), call.cancel()
    called: list[bool] = []
    call.add_done_callback(lambda done: called.append(done is call))
    await asyncio.sleep(0)
    return found, called


async def _read_after_end(channel: Any) -> Any:
    call: Any = channel.unary_stream("/test.Test/StreamCount")(b"", timeout=WITHIN)
    found = [await call.read() for _ in range(2)]
    return found, await call.read() is grpc.aio.EOF, await call.read() is grpc.aio.EOF, call.done(), call.cancel()


async def _write_after_end(channel: Any) -> Any:
    call: Any = channel.stream_stream("/test.Test/Reply")(timeout=WITHIN)
    await call.write(b"x")
    found = await call.read()
    await call.done_writing()
    return found, await outcome(lambda: call.write(b"y")), await call.read() is grpc.aio.EOF


async def _mixed(channel: Any) -> Any:
    call: Any = channel.stream_stream("/test.Test/Reply")(iter([b"a"]), timeout=WITHIN)
    found = await outcome(lambda: call.write(b"y")), await outcome(call.done_writing)
    return found, await messages_of(call)


def _late(timeout: float) -> Program:
    async def program(channel: Any) -> Any:
        unary: Any = channel.unary_unary("/test.Test/Block")
        stream: Any = channel.unary_stream("/test.Test/StreamBlock")
        _, ended = await messages_of(stream(b"", timeout=timeout))
        unary_ended = await outcome(lambda: unary(b"", timeout=timeout))
        return unary_ended[0], ended[0]

    return program


def _sent(metadata: Any) -> Program:
    async def program(channel: Any) -> Any:
        echo: Any = channel.unary_unary("/test.Test/Echo")
        found = await outcome(lambda: echo(b"x", timeout=WITHIN, metadata=metadata))
        return found[0] if isinstance(found, tuple) else found

    return program


def _codec(**codecs: Any) -> Program:
    async def program(channel: Any) -> Any:
        unary: Any = channel.unary_unary("/test.Test/Echo", **codecs)
        stream: Any = channel.unary_stream("/test.Test/StreamCount", **codecs)

        async def read() -> Any:
            return await messages_of(stream(b"x", timeout=WITHIN))

        return await outcome(lambda: unary(b"x", timeout=WITHIN)), await outcome(read)

    return program


async def _time_remaining(channel: Any) -> Any:
    echo: Any = channel.unary_unary("/test.Test/Echo")
    call, forever = echo(b"", timeout=WITHIN), echo(b"")
    found = 0 < call.time_remaining() < WITHIN + 1, forever.time_remaining()
    await asyncio.gather(call, forever)
    return found


async def _states(channel: Any) -> Any:
    first = channel.get_state()
    await channel.channel_ready()
    last = channel.get_state()
    await channel.close()
    return first, last, channel.get_state()


async def _closed(channel: Any) -> Any:
    blocked: Any = channel.unary_unary("/test.Test/Block")(b"", timeout=WITHIN)
    await channel.close()
    echo: Any = channel.unary_unary("/test.Test/Echo")
    return await outcome(lambda: blocked), await outcome(lambda: echo(b"", timeout=WITHIN))


async def _credentials(channel: Any) -> Any:
    echo: Any = channel.unary_unary("/test.Test/Echo")
    return await outcome(lambda: echo(b"", timeout=WITHIN, credentials=grpc.access_token_call_credentials("secret")))


class _Iterating(grpc.aio.UnaryStreamClientInterceptor):
    """Returns an iterator instead of a call."""

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        call = await continuation(details, request)

        async def iterate() -> AsyncIterator[Any]:
            async for message in call:
                yield message

        return iterate()


async def _intercepted_stream(channel: Any) -> Any:
    return await _stream("Raise")(channel)


async def _thread_callback(channel: Any) -> Any:
    call: Any = channel.unary_unary("/thread.Test/Callback")(b"", timeout=WITHIN)
    await call
    return await asyncio.to_thread(ended.wait, WITHIN)


PROGRAMS: dict[str, Program] = {
    **{f"unary {name}": _unary(name) for name in (*_UNARY, "BadSerializer", "BadDeserializer") if name != "Block"},
    **{f"stream {name}": _stream(name) for name in _STREAMS if name != "Block"},
    **{f"requests {name}": _requests(name) for name in ("Join", "Read")},
    "requests Reply": _requests("Reply", streams=True),
    **{f"in a thread: unary {name}": _unary(name, "thread.Test") for name in _IN_THREADS},
    **{f"in a thread: stream {name}": _stream(name, "thread.Test") for name in _STREAMS_IN_THREADS},
    "in a thread: requests Join": _requests("Join", "thread.Test"),
    "in a thread: requests FirstOf": _requests("FirstOf", "thread.Test"),
    "in a thread: requests Reply": _requests("Reply", "thread.Test", streams=True),
    "a stream whose interceptor returns an iterator": _intercepted_stream,
    "in a thread: a callback": _thread_callback,
    "a call that is cancelled": _cancelled,
    "a stream that is cancelled": _cancelled_stream,
    "a call that has ended": _ended,
    "read() after the end": _read_after_end,
    "write() after the end": _write_after_end,
    "write() with an iterator": _mixed,
    "no time": _late(0),
    "a negative time": _late(-1),
    "a short time": _late(0.05),
    "metadata": _sent((("x-a", "1"),)),
    "codecs": _codec(request_serializer=bytes, response_deserializer=len),
    "time_remaining": _time_remaining,
    "connectivity": _states,
    "a closed channel": _closed,
    "call credentials without TLS": _credentials,
}


@contextlib.asynccontextmanager
async def serving(engine: str, path: Path) -> AsyncIterator[None]:
    """Runs an asyncio server of an engine with asyncio and synchronous handlers."""
    with ThreadPoolExecutor(20) as pool:
        if engine == "grpcio":
            server: Any = grpc.aio.server(migration_thread_pool=pool)
            server.add_insecure_port(f"unix:{path}")
        else:
            server = samehost_native.aio.Server(migration_thread_pool=pool)
            with listening(path) as descriptor:
                server.listen(descriptor)
        server.add_registered_method_handlers("test.Test", HANDLERS)
        server.add_registered_method_handlers("thread.Test", THREAD_HANDLERS)
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)


def connecting(engine: str, path: Path, interceptors: Any = ()) -> Any:
    """Returns an asyncio channel of an engine."""
    if engine == "grpcio":
        options = [("grpc.default_authority", "localhost")]
        return grpc.aio.insecure_channel(f"unix:{path}", options=options, interceptors=interceptors)
    return samehost_native.aio.Channel(str(path), interceptors=interceptors)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_sees_the_same_with_both_engines(tmp_path: Path, name: str) -> None:
    async def see(engine: str) -> str:
        path = tmp_path / engine
        interceptors = [_Iterating()] if "interceptor" in name else []
        async with serving(engine, path), connecting(engine, path, interceptors) as channel:
            return repr(await asyncio.wait_for(PROGRAMS[name](channel), WITHIN))

    assert asyncio.run(see("native")) == asyncio.run(see("grpcio"))
