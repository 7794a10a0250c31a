"""Tests that connections close without losing a call."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import PingAckReceived, ResponseReceived, StreamEnded
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from samehost.greeter.v1.greeter_grpc import GreeterServiceStub
from samehost.greeter.v1.greeter_pb2 import GreetInLanguagesRequest, GreetRequest, GreetResponse
from samehost_common import SocketAddress
from samehost_interop_grpclib.dial import Channel
from samehost_interop_grpclib.goaways import GoAways

Serve: TypeAlias = Callable[..., AbstractContextManager[subprocess.Popen[str]]]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA = DataFrame(1, data=b"\0\0\0\7" * 50).serialize()
PING = PingFrame(0, opaque_data=b"8 octets").serialize()
LEAVING = GoAwayFrame(0, last_stream_id=2**31 - 1, additional_data=b"good night").serialize()
LEFT = GoAwayFrame(0, last_stream_id=7).serialize()
BROKEN = GoAwayFrame(0, last_stream_id=7, error_code=1).serialize()


def headers_of(path: str) -> list[tuple[str, str]]:
    fixed = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": path}
    return [*fixed.items(), ("te", "trailers"), ("content-type", "application/grpc")]


@pytest.mark.parametrize("size", [1, 7, 9, 100, 10_000])
@pytest.mark.parametrize("preface", [b"", PREFACE])
def test_goaway_is_removed_from_data_that_is_split_anywhere(size: int, preface: bytes) -> None:
    data = preface + PING + LEAVING + DATA + BROKEN + LEFT + PING
    goaways = GoAways(from_client=bool(preface))
    kept, last_streams = b"", []
    for at in range(0, len(data), size):
        rest, named = goaways.take_from(data[at : at + size])
        kept += rest
        last_streams += named
    assert kept == preface + PING + DATA + BROKEN + PING
    assert last_streams == [2**31 - 1, 7]


async def test_a_call_in_progress_finishes_while_its_server_stops(serve: Serve, address: SocketAddress) -> None:
    slow = GreetInLanguagesRequest(name="Ada")
    slow.interval.FromMilliseconds(50)
    with serve() as process:
        async with (
            Channel(address) as channel,
            GreeterServiceStub(channel).GreetInLanguages.open(timeout=20) as stream,
        ):
            await stream.send_message(slow, end=True)
            heard = [await stream.recv_message()]
            process.terminate()
            heard += [response async for response in stream]
    assert [response and response.language for response in heard] == ["de", "en", "es", "fr", "ja"]


def test_a_stopping_server_does_not_wait_for_a_call_that_was_reset_at_once(
    serve: Serve, address: SocketAddress
) -> None:
    client = H2Connection()
    client.initiate_connection()
    client.send_headers(1, headers_of("/grpc.health.v1.Health/Watch"))
    client.reset_stream(1)
    with serve("--grace", "1000") as process, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address.path))
        connection.sendall(client.data_to_send())
        client.ping(b"8 octets")
        connection.sendall(client.data_to_send())
        while not any(isinstance(event, PingAckReceived) for event in client.receive_data(connection.recv(1 << 16))):
            connection.sendall(client.data_to_send())
        process.terminate()
        connection.settimeout(60)
        while connection.recv(1 << 16):
            pass  # this client does not acknowledge the server's PING


def test_signals_until_the_end_leave_the_exit_code_0(serve: Serve) -> None:
    with serve() as process:
        while process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.001)


async def test_a_call_that_ends_within_a_message_has_its_status(address: SocketAddress) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = H2Connection(H2Configuration(client_side=False))
        server.initiate_connection()
        while data := await reader.read(1 << 16):
            if any(isinstance(event, StreamEnded) for event in server.receive_data(data)):
                server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                server.send_data(1, b"\0\0\0\0\7seven")
                server.send_headers(1, [("grpc-status", "4")], end_stream=True)
            writer.write(server.data_to_send())
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    async with await asyncio.start_unix_server(answer, address.path):
        with pytest.raises(GRPCError) as caught:
            async with Channel(address) as channel:
                await GreeterServiceStub(channel).Greet(GreetRequest(name="Ada"), timeout=20)
        await left.wait()
    assert caught.value.status is Status.DEADLINE_EXCEEDED


async def test_a_call_with_a_deadline_that_is_over_at_once_has_its_status(serve: Serve, address: SocketAddress) -> None:
    client = H2Connection()
    client.initiate_connection()
    client.send_headers(1, [*headers_of("/grpc.health.v1.Health/Watch"), ("grpc-timeout", "1n")])
    with serve(), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(address.path))
        connection.sendall(client.data_to_send())
        ended = None
        while ended is None:
            events = client.receive_data(connection.recv(1 << 16))
            ended = next((event for event in events if isinstance(event, ResponseReceived)), None)
    assert dict(ended.headers or [])[b"grpc-status"] == b"4"


async def test_no_call_is_lost_while_servers_are_replaced(serve: Serve, address: SocketAddress) -> None:
    greeted, enough = asyncio.Semaphore(0), asyncio.Event()

    async def greet(greeter: GreeterServiceStub) -> None:
        while not enough.is_set():
            await greeter.Greet(GreetRequest(name="Ada"), timeout=60)
            greeted.release()

    async with Channel(address, wait_for_ready=True) as channel, asyncio.TaskGroup() as group:
        callers = [group.create_task(greet(GreeterServiceStub(channel))) for _ in range(4)]
        for is_last in (False, False, True):
            running = serve()
            await asyncio.to_thread(running.__enter__)
            for _ in range(50):
                await greeted.acquire()
            if is_last:
                enough.set()
                await asyncio.wait(callers)
            await asyncio.to_thread(running.__exit__, None, None, None)


async def test_an_answer_is_read_after_the_server_has_closed_the_connection(address: SocketAddress) -> None:
    loop = asyncio.get_running_loop()
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address.path))
        listener.listen()
        listener.setblocking(False)
        async with Channel(address) as channel, asyncio.timeout(20):
            greeter = GreeterServiceStub(channel)
            call = asyncio.create_task(greeter.Greet(GreetRequest(name="Ada")))
            connection, _ = await loop.sock_accept(listener)
            with connection:
                connection.sendall(server.data_to_send())
                received: list[object] = []
                while not any(isinstance(event, StreamEnded) for event in received):
                    received = [*server.receive_data(await loop.sock_recv(connection, 65536))]
                server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                server.send_data(1, bytes(5))
                server.send_headers(1, [("grpc-status", "0")], end_stream=True)
                connection.sendall(server.data_to_send())
            # It writes to the closed connection before the client reads the answer.
            late = asyncio.create_task(greeter.Greet(GreetRequest(name="Bob")))
            assert await call == GreetResponse()
            with pytest.raises(StreamTerminatedError):
                await late
