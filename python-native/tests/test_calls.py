"""Calls between a native server and clients of both engines."""

import asyncio
import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import hpack
import pytest
import samehost_native.aio
from conftest import WITHIN, native_channel, serving, serving_async
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)


def echo(request: bytes, _: Any) -> bytes:
    return request


async def echo_async(request: bytes, _: Any) -> bytes:
    return request


def count(request: bytes, _: Any) -> Iterator[bytes]:
    yield from (str(number).encode() for number in range(int(request)))


async def count_async(request: bytes, _: Any) -> Any:
    for number in range(int(request)):
        yield str(number).encode()


def join(requests: Iterator[bytes], _: Any) -> bytes:
    return b"".join(requests)


async def join_async(requests: Any, _: Any) -> bytes:
    return b"".join([request async for request in requests])


def reply(requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
    for request in requests:
        yield b"re: " + request


async def reply_async(requests: Any, _: Any) -> Any:
    async for request in requests:
        yield b"re: " + request


HANDLERS: dict[str, Any] = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Reply": grpc.stream_stream_rpc_method_handler(reply),
}
ASYNC_HANDLERS: dict[str, Any] = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo_async),
    "Count": grpc.unary_stream_rpc_method_handler(count_async),
    "Join": grpc.stream_unary_rpc_method_handler(join_async),
    "Reply": grpc.stream_stream_rpc_method_handler(reply_async),
}

CALL_HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Test/Echo"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


@pytest.fixture(params=["sync", "aio"])
def served(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    options: Any = {"max_concurrent_calls": 1000}  # a cancelled call counts until its handler returns
    is_sync = request.param == "sync"
    with serving(path, HANDLERS, **options) if is_sync else serving_async(path, ASYNC_HANDLERS, **options) as server:
        yield server


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 3_000_000])
@pytest.mark.usefixtures("served")
def test_a_message_of_any_size_is_echoed(channel: Any, size: int) -> None:
    message = bytes(index % 251 for index in range(size))
    assert channel.unary_unary("/test.Test/Echo")(message, timeout=WITHIN) == message


@pytest.mark.usefixtures("served")
def test_streams_of_all_kinds(channel: Any) -> None:
    assert list(channel.unary_stream("/test.Test/Count")(b"5", timeout=WITHIN)) == [b"0", b"1", b"2", b"3", b"4"]
    assert channel.stream_unary("/test.Test/Join")(iter([b"a", b"b", b"c"]), timeout=WITHIN) == b"abc"
    assert list(channel.stream_stream("/test.Test/Reply")(iter([b"a", b"b"]), timeout=WITHIN)) == [b"re: a", b"re: b"]
    assert list(channel.stream_stream("/test.Test/Reply")(iter([]), timeout=WITHIN)) == []


@pytest.mark.usefixtures("served")
def test_an_unknown_method_is_unimplemented(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test.Test/Nothing")(b"", timeout=WITHIN)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("served")
def test_calls_leave_nothing_for_the_garbage_collector(path: Path) -> None:
    """A call that is part of a cycle keeps its connection open until the collector runs, long after its client left."""
    gc.collect()  # what other tests have left
    gc.disable()
    try:
        with native_channel(path) as channel:
            for _ in range(10):
                test_streams_of_all_kinds(channel)
                channel.unary_unary("/test.Test/Echo")(b"", timeout=WITHIN)
                with contextlib.suppress(grpc.RpcError):
                    channel.unary_unary("/test.Test/Nothing")(b"", timeout=WITHIN)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("samehost_native")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == []


def test_a_client_opens_1_stream_before_it_knows_the_limit_of_the_server(path: Path) -> None:
    """Some servers close a connection with more streams than they allow. A server of grpcio ends the streams."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(WITHIN)
        with native_channel(path) as channel:
            calls = [channel.unary_unary("/test.Test/Echo").future(b"", timeout=1) for _ in range(150)]
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as received:
                for call in calls:
                    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                channel.close()
                received.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
                opened = most = 0
                while header := received.read(9):  # RFC 9113, section 4.1: length, type, flags, stream
                    received.read(int.from_bytes(header[:3], "big"))
                    opened += {1: 1, 3: -1}.get(header[3], 0)  # HEADERS, RST_STREAM
                    most = max(most, opened)
    assert most == 1


@pytest.mark.usefixtures("served")
def test_many_callers_share_a_connection(channel: Any) -> None:
    failed: list[BaseException] = []

    def call(number: int) -> None:
        try:
            for _ in range(50):
                message = bytes([number]) * (number * 1000 + 1)
                assert channel.unary_unary("/test.Test/Echo")(message, timeout=WITHIN) == message
        except (grpc.RpcError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN)
    assert failed == []


def test_metadata_and_a_status_with_details(path: Path, channel: Any) -> None:
    def fail(_: bytes, context: grpc.ServicerContext) -> bytes:
        sent = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
        context.send_initial_metadata((("x-first", sent["x-text"]), ("x-first-bin", sent["x-some-bin"])))
        context.set_trailing_metadata((("x-last-bin", b"\x00\xff"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not \N{SNOWMAN} yet, 100 %\n")

    with serving(path, {"Fail": grpc.unary_unary_rpc_method_handler(fail)}):
        call = channel.unary_unary("/test.Test/Fail").future(
            b"", timeout=WITHIN, metadata=(("x-text", "hello"), ("x-some-bin", b"\x01\x02\xfe"))
        )
        assert call.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert call.details() == "not \N{SNOWMAN} yet, 100 %\n"
        assert {("x-first", "hello"), ("x-first-bin", b"\x01\x02\xfe")} <= set(map(tuple, call.initial_metadata()))
        assert ("x-last-bin", b"\x00\xff") in set(map(tuple, call.trailing_metadata()))


def test_a_deadline_ends_the_call_on_both_ends(path: Path, channel: Any) -> None:
    over = threading.Event()

    def sleep(_: bytes, context: grpc.ServicerContext) -> bytes:
        assert context.add_callback(over.set)
        assert over.wait(WITHIN)
        assert not context.is_active()
        return b""

    with serving(path, {"Sleep": grpc.unary_unary_rpc_method_handler(sleep)}):
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/test.Test/Sleep")(b"", timeout=0.2)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert 0.2 <= time.monotonic() - begun < WITHIN
        assert over.wait(WITHIN)


def test_a_cancellation_reaches_the_handler(path: Path, channel: Any) -> None:
    begun, over = threading.Event(), threading.Event()

    def sleep(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        assert context.add_callback(over.set)
        begun.set()
        yield b"first"
        assert over.wait(WITHIN)

    with serving(path, {"Sleep": grpc.unary_stream_rpc_method_handler(sleep)}):
        call = channel.unary_stream("/test.Test/Sleep")(b"", timeout=WITHIN)
        assert next(call) == b"first"
        assert begun.wait(WITHIN)
        call.cancel()
        assert over.wait(WITHIN)


def test_blocked_handlers_do_not_delay_other_calls(path: Path, channel: Any) -> None:
    release = threading.Event()

    def block(*_: Any) -> bytes:
        assert release.wait(WITHIN)
        return b""

    handlers = {"Block": grpc.unary_unary_rpc_method_handler(block), **HANDLERS}
    with serving(path, handlers, max_workers=10):
        blocked = [channel.unary_unary("/test.Test/Block").future(b"", timeout=WITHIN) for _ in range(8)]
        for _ in range(50):
            assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"
        release.set()
        for call in blocked:
            assert call.result() == b""


def test_too_many_calls_are_refused(path: Path, channel: Any) -> None:
    begun, release = threading.Semaphore(0), threading.Event()

    def block(*_: Any) -> bytes:
        begun.release()
        assert release.wait(WITHIN)
        return b""

    with serving(path, {"Block": grpc.unary_unary_rpc_method_handler(block)}, max_concurrent_calls=2):
        blocked = [channel.unary_unary("/test.Test/Block").future(b"", timeout=WITHIN) for _ in range(2)]
        for _ in blocked:
            assert begun.acquire(timeout=WITHIN)
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/test.Test/Block")(b"", timeout=WITHIN)
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        release.set()
        for call in blocked:
            assert call.result() == b""


def test_a_message_above_the_limit_is_refused(path: Path, channel: Any) -> None:
    with serving(path, HANDLERS, max_receive=1000):
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/test.Test/Echo")(bytes(1001), timeout=WITHIN)
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channel.unary_unary("/test.Test/Echo")(bytes(1000), timeout=WITHIN) == bytes(1000)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages(path: Path, channel: Any, compression: grpc.Compression) -> None:
    with serving(path, HANDLERS, compression=compression):
        message = b"a" * 100_000
        assert channel.unary_unary("/test.Test/Echo")(message, timeout=WITHIN, compression=compression) == message


def test_an_exception_of_a_handler_is_unknown(path: Path, channel: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> bytes:
        raise LookupError("no such thing")

    with serving(path, {"Fail": grpc.unary_unary_rpc_method_handler(fail)}), pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test.Test/Fail")(b"", timeout=WITHIN)
    assert (failed.value.code(), failed.value.details()) == (
        grpc.StatusCode.UNKNOWN,
        "Exception calling application: no such thing",
    )
    assert [record.message for record in caplog.records] == ["/test.Test/Fail raised LookupError"]


def test_a_server_knows_the_uid_of_its_caller(path: Path, channel: Any) -> None:
    def who(_: bytes, context: grpc.ServicerContext) -> bytes:
        identities: Any = context.auth_context()["peer_uid"]
        return b"".join(identities)

    with serving(path, {"Who": grpc.unary_unary_rpc_method_handler(who)}):
        assert channel.unary_unary("/test.Test/Who")(b"", timeout=WITHIN) == str(os.getuid()).encode()


def test_a_stop_waits_for_running_calls(path: Path, channel: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    def block(*_: Any) -> bytes:
        begun.set()
        assert release.wait(WITHIN)
        return b"done"

    with serving(path, {"Block": grpc.unary_unary_rpc_method_handler(block)}) as server:
        call = channel.unary_unary("/test.Test/Block").future(b"", timeout=WITHIN)
        assert begun.wait(WITHIN)
        stopped = server.stop(WITHIN)
        assert not stopped.wait(0.1)
        release.set()
        assert call.result() == b"done"
        assert stopped.wait(WITHIN)


def test_an_idle_client_does_not_delay_a_stop(path: Path, channel: Any) -> None:
    with serving(path, HANDLERS) as server:
        assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN) == b"x"
        begun = time.monotonic()
        assert server.stop(WITHIN).wait(WITHIN)
        assert time.monotonic() - begun < 2, "a stop takes milliseconds"


def test_no_call_is_lost_while_servers_replace_each_other(path: Path, channel: Any) -> None:
    failed: list[grpc.RpcError] = []
    over = threading.Event()
    made = 0

    def call() -> None:
        nonlocal made
        echo = channel.unary_unary("/test.Test/Echo")
        while not over.is_set():
            try:
                assert echo(b"x" * 4096, timeout=WITHIN, wait_for_ready=True)
                made += 1
            except grpc.RpcError as error:
                failed.append(error)

    def serve_for_a_while() -> None:
        before, deadline = made, time.monotonic() + WITHIN
        while made < before + 20:
            assert time.monotonic() < deadline, f"{made - before} of 20 calls were made"
            over.wait(0.01)

    callers = [threading.Thread(target=call) for _ in range(4)]
    with contextlib.ExitStack() as servers:
        last = servers.enter_context(serving(path, HANDLERS))
        for caller in callers:
            caller.start()
        for _ in range(5):
            serve_for_a_while()
            path.unlink()
            successor = servers.enter_context(serving(path, HANDLERS))
            assert last.stop(WITHIN).wait(WITHIN)
            last = successor
        serve_for_a_while()
        over.set()
        for caller in callers:
            caller.join(WITHIN)
    assert [error.details() for error in failed] == []


def test_a_slow_reader_slows_down_a_fast_writer(path: Path) -> None:
    sent = 0

    def flood(*_: Any) -> Iterator[bytes]:
        nonlocal sent
        while sent < 1000:
            sent += 1
            yield bytes(1_000_000)

    with serving(path, {"Flood": grpc.unary_stream_rpc_method_handler(flood)}), native_channel(path) as channel:
        responses = channel.unary_stream("/test.Test/Flood")(b"", timeout=WITHIN)
        assert len(next(responses)) == 1_000_000
        last = -1
        while sent != last:  # without flow control, the server would send all within a second
            last = sent
            threading.Event().wait(0.3)
        assert sent < 40, "a window of 8 MiB holds few messages"
        responses.cancel()


def test_a_client_that_answers_a_ping_before_it_writes_its_calls_loses_none(path: Path) -> None:
    """C-core does so. With one PING, the server would not know the call, and its WINDOW_UPDATE would be an error."""
    call: list[Frame] = [
        HeadersFrame(1, data=hpack.Encoder().encode(CALL_HEADERS), flags=["END_HEADERS"]),
        DataFrame(1, data=b"\0\0\0\0\1x", flags=["END_STREAM"]),
        WindowUpdateFrame(1, window_increment=1000),
    ]
    with serving(path, HANDLERS) as server, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WITHIN)
        client.connect(str(path))
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
        with client.makefile("rb") as received:
            assert isinstance(read_frame(received), SettingsFrame)
            stopped = server.stop(WITHIN)
            ends = []
            while "END_STREAM" not in (frame := read_frame(received)).flags:
                if isinstance(frame, GoAwayFrame):
                    ends.append((frame.error_code, frame.last_stream_id))
                if isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    answer: list[Frame] = [PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]), *call]
                    client.sendall(b"".join(each.serialize() for each in answer))
                    call.clear()
            assert frame.stream_id == 1
            assert ends[0] == (0, 2**31 - 1)
            assert {code for code, _ in ends} == {0}
        client.shutdown(socket.SHUT_RDWR)
        assert stopped.wait(WITHIN)


def read_frame(received: BinaryIO) -> Frame:
    frame, length = Frame.parse_frame_header(memoryview(received.read(9)))
    frame.parse_body(memoryview(received.read(length)))
    return frame


@pytest.mark.usefixtures("served")
def test_calls_that_are_cancelled_at_once_harm_no_other_call(channel: Any) -> None:
    echo = channel.unary_unary("/test.Test/Echo")
    over = threading.Event()

    def call() -> int:
        made = 0
        while not over.is_set():
            assert echo(b"x", timeout=WITHIN) == b"x"
            made += 1
        return made

    with ThreadPoolExecutor(1) as caller:
        made = caller.submit(call)
        for _ in range(5):
            for cancelled in [echo.future(b"x", timeout=WITHIN) for _ in range(90)]:
                cancelled.cancel()
        over.set()
        assert made.result(WITHIN) > 0


def test_a_stream_of_small_messages_does_not_block_the_event_loop(path: Path, channel: Any) -> None:
    async def flood(*_: Any) -> Any:
        while True:
            yield b"x"

    handlers = {"Flood": grpc.unary_stream_rpc_method_handler(flood), **ASYNC_HANDLERS}
    with serving_async(path, handlers), native_channel(path) as other:
        responses = channel.unary_stream("/test.Test/Flood")(b"", timeout=WITHIN)
        over = threading.Event()
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(lambda: [None for _ in iter(over.is_set, True) if next(responses)])
            try:
                slowest = 0.0
                for _ in range(50):
                    begun = time.monotonic()
                    other.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN)
                    slowest = max(slowest, time.monotonic() - begun)
            finally:
                over.set()
                reading.result(WITHIN)
                responses.cancel()
        assert slowest < 1, "without turns, a call waits for seconds"


def test_an_interceptor_of_an_asyncio_channel_gets_the_method_as_bytes(path: Path) -> None:
    seen = []

    class Interceptor(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            seen.append(client_call_details.method)
            return await continuation(client_call_details, request)

    async def call() -> Any:
        async with samehost_native.aio.Channel(str(path), interceptors=[Interceptor()]) as channel:
            return await channel.unary_unary("/test.Test/Echo")(b"x", timeout=WITHIN)

    with serving(path, HANDLERS):
        assert asyncio.run(call()) == b"x"
    assert seen == [b"/test.Test/Echo"]
