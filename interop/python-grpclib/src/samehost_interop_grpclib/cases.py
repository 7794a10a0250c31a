"""Defines the official cases, one function for each. requests.py has their requests, and checks.py their assertions."""
# ruff: noqa: D103

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpclib.client
from grpclib.const import Status

from samehost.interop import testing_pb2 as pb
from samehost.interop.orca_service_grpc import OpenRcaServiceStub
from samehost.interop.testing_grpc import TestServiceStub, UnimplementedServiceStub
from samehost_common import SocketAddress
from samehost_interop_grpclib import checks, requests
from samehost_interop_grpclib.compression import compressing, current
from samehost_interop_grpclib.dial import Channel
from samehost_interop_grpclib.requests import DEADLINE

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from grpclib.client import Stream

    Duplex: TypeAlias = Stream[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]


@dataclass(frozen=True)
class Peer:
    """The server under test: its address, and a channel to it."""

    address: SocketAddress
    channel: grpclib.client.Channel

    @property
    def stub(self) -> TestServiceStub:
        """The service under test."""
        return TestServiceStub(self.channel)

    def duplex(self, timeout: float = DEADLINE, **options: Any) -> "AbstractAsyncContextManager[Duplex]":
        """A FullDuplexCall."""
        return self.stub.FullDuplexCall.open(timeout=timeout, **options)


async def empty_unary(peer: Peer) -> None:
    checks.empty(await peer.stub.EmptyCall(pb.Empty(), timeout=DEADLINE))


async def large_unary(peer: Peer) -> None:
    checks.large(await peer.stub.UnaryCall(requests.large(), timeout=DEADLINE))


async def cacheable_unary(peer: Peer) -> None:
    # grpclib sends only POST, which no proxy caches. The responses are equal because the server answers the same
    # request with the same payload.
    request = requests.cacheable()
    first, second = [
        await peer.stub.CacheableUnaryCall(request, metadata=[requests.USER_IP], timeout=DEADLINE) for _ in range(2)
    ]
    checks.equal("payload of the second response", second.payload.body, first.payload.body)


async def client_compressed_unary(peer: Peer) -> None:
    with checks.status(Status.INVALID_ARGUMENT):
        await peer.stub.UnaryCall(requests.large_expecting(compressed=True), timeout=DEADLINE)
    with compressing():
        checks.large(await peer.stub.UnaryCall(requests.large_expecting(compressed=True), timeout=DEADLINE))
    checks.large(await peer.stub.UnaryCall(requests.large_expecting(compressed=False), timeout=DEADLINE))


async def server_compressed_unary(peer: Peer) -> None:
    for compressed in (True, False):
        checks.large(
            await peer.stub.UnaryCall(requests.large_response_compressed(compressed=compressed), timeout=DEADLINE)
        )
        checks.equal("compressed flag of the response", current().compressed, compressed)


async def client_streaming(peer: Peer) -> None:
    response = await peer.stub.StreamingInputCall(requests.inputs(), timeout=DEADLINE)
    checks.aggregated(response, requests.REQUEST_BYTES)


async def client_compressed_streaming(peer: Peer) -> None:
    probe = requests.input_expecting(compressed=True)
    with checks.status(Status.INVALID_ARGUMENT):
        await peer.stub.StreamingInputCall([probe], timeout=DEADLINE)
    with compressing():
        async with peer.stub.StreamingInputCall.open(timeout=DEADLINE) as stream:
            await stream.send_message(probe)
            current().compress = False
            await stream.send_message(requests.input_expecting(compressed=False), end=True)
            checks.aggregated(await stream.recv_message(), requests.COMPRESSED_REQUEST_BYTES.values())


async def server_streaming(peer: Peer) -> None:
    responses = await peer.stub.StreamingOutputCall(requests.output(*requests.RESPONSE_BYTES), timeout=DEADLINE)
    checks.outputs(responses, requests.RESPONSE_BYTES)


async def server_compressed_streaming(peer: Peer) -> None:
    async with peer.stub.StreamingOutputCall.open(timeout=DEADLINE) as stream:
        await stream.send_message(requests.compressed_output(), end=True)
        checks.outputs_with_compression([(response, current().compressed) async for response in stream])


async def ping_pong(peer: Peer) -> None:
    async with peer.duplex() as stream:
        for request, size in zip(requests.ping_pong(), requests.RESPONSE_BYTES, strict=True):
            await stream.send_message(request)
            checks.output(await stream.recv_message(), size)
        await stream.end()
        checks.end(await stream.recv_message())


async def half_duplex(peer: Peer) -> None:
    outputs = [requests.output(size) for size in requests.RESPONSE_BYTES]
    checks.outputs(await peer.stub.HalfDuplexCall(outputs, timeout=DEADLINE), requests.RESPONSE_BYTES)


async def empty_stream(peer: Peer) -> None:
    checks.equal("number of responses", len(await peer.stub.FullDuplexCall([], timeout=DEADLINE)), 0)


async def custom_metadata(peer: Peer) -> None:
    metadata = [requests.ECHO_INITIAL, requests.ECHO_TRAILING]
    async with peer.stub.UnaryCall.open(metadata=metadata, timeout=DEADLINE) as unary:
        await unary.send_message(requests.large(), end=True)
        checks.large(await unary.recv_message())
        await unary.recv_trailing_metadata()
        checks.echoes(unary.initial_metadata, unary.trailing_metadata)
    async with peer.duplex(metadata=metadata) as stream:
        request = requests.output_with_payload(requests.LARGE_REQUEST_BYTES, requests.LARGE_RESPONSE_BYTES)
        await stream.send_message(request, end=True)
        checks.output(await stream.recv_message(), requests.LARGE_RESPONSE_BYTES)
        checks.end(await stream.recv_message())
        await stream.recv_trailing_metadata()
        checks.echoes(stream.initial_metadata, stream.trailing_metadata)


async def status_code_and_message(peer: Peer) -> None:
    with checks.echoed_status(requests.STATUS):
        await peer.stub.UnaryCall(pb.SimpleRequest(response_status=requests.STATUS), timeout=DEADLINE)
    request = pb.StreamingOutputCallRequest(response_status=requests.STATUS)
    with checks.echoed_status(requests.STATUS):
        for response in await peer.stub.FullDuplexCall([request], timeout=DEADLINE):
            checks.end(response)


async def special_status_message(peer: Peer) -> None:
    with checks.echoed_status(requests.SPECIAL_STATUS):
        await peer.stub.UnaryCall(pb.SimpleRequest(response_status=requests.SPECIAL_STATUS), timeout=DEADLINE)


async def unimplemented_method(peer: Peer) -> None:
    with checks.status(Status.UNIMPLEMENTED):
        await peer.stub.UnimplementedCall(pb.Empty(), timeout=DEADLINE)


async def unimplemented_service(peer: Peer) -> None:
    with checks.status(Status.UNIMPLEMENTED):
        await UnimplementedServiceStub(peer.channel).UnimplementedCall(pb.Empty(), timeout=DEADLINE)


async def cancel_after_begin(peer: Peer) -> None:
    begun = asyncio.Event()

    async def call() -> None:
        async with peer.stub.StreamingInputCall.open(timeout=DEADLINE) as stream:
            await stream.send_request()
            begun.set()
            await stream.recv_message()

    await _is_cancelled(call(), begun)


async def cancel_after_first_response(peer: Peer) -> None:
    answered = asyncio.Event()

    async def call() -> None:
        async with peer.duplex() as stream:
            await stream.send_message(requests.ping_pong()[0])
            checks.output(await stream.recv_message(), requests.RESPONSE_BYTES[0])
            answered.set()
            checks.end(await stream.recv_message())

    await _is_cancelled(call(), answered)


async def timeout_on_sleeping_server(peer: Peer) -> None:
    with checks.status(Status.DEADLINE_EXCEEDED):
        async with peer.duplex(timeout=requests.TIMEOUT) as stream:
            await stream.send_message(requests.sleeper())
            checks.end(await stream.recv_message())


async def pick_first_unary(peer: Peer) -> None:
    request = pb.SimpleRequest(fill_server_id=True)
    responses = [await peer.stub.UnaryCall(request, timeout=DEADLINE) for _ in range(requests.PICK_FIRST_CALLS)]
    checks.same_server([response.server_id for response in responses])


async def concurrent_large_unary(peer: Peer) -> None:
    request = requests.large()

    async def call() -> None:
        checks.large(await peer.stub.UnaryCall(request, timeout=requests.CONCURRENT_DEADLINE))

    try:
        async with asyncio.TaskGroup() as calls:
            for _ in range(requests.CONCURRENT_CALLS):
                calls.create_task(call())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def rpc_soak(peer: Peer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration():
            await large_unary(peer)
    soak.verdict()


async def channel_soak(peer: Peer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration():
            async with Channel(peer.address) as channel:
                await large_unary(Peer(peer.address, channel))
    soak.verdict()


async def orca_per_rpc(peer: Peer) -> None:
    request = pb.SimpleRequest(orca_per_query_report=requests.PER_CALL_REPORT)
    async with peer.stub.UnaryCall.open(timeout=DEADLINE) as stream:
        await stream.send_message(request, end=True)
        await stream.recv_message()
        await stream.recv_trailing_metadata()
        checks.reported_with_call(stream.trailing_metadata)


async def orca_oob(peer: Peer) -> None:
    async with (
        OpenRcaServiceStub(peer.channel).StreamCoreMetrics.open(timeout=DEADLINE) as reports,
        peer.duplex() as stream,
    ):
        await reports.send_message(requests.LISTEN, end=True)
        for report in requests.OUT_OF_BAND_REPORTS:
            await stream.send_message(requests.reporting(report))
            checks.output(await stream.recv_message(), 1)
            awaited = checks.AwaitedReport(report)
            while not awaited.is_this(await reports.recv_message()):
                pass
        await stream.end()
        checks.end(await stream.recv_message())
        await reports.cancel()


async def _is_cancelled(call: "Awaitable[None]", begun: asyncio.Event) -> None:
    """Cancel a call that has started. Fail unless it ends with asyncio's CancelledError, which stands for CANCELLED."""
    task = asyncio.ensure_future(call)
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
        raise checks.CaseFailure("status code: expected CANCELLED, got OK")


CASES: dict[str, Callable[[Peer], Awaitable[None]]] = {
    case.__name__: case
    for case in (
        empty_unary,
        cacheable_unary,
        large_unary,
        client_compressed_unary,
        server_compressed_unary,
        client_streaming,
        client_compressed_streaming,
        server_streaming,
        server_compressed_streaming,
        ping_pong,
        half_duplex,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
        pick_first_unary,
        concurrent_large_unary,
        rpc_soak,
        channel_soak,
        orca_per_rpc,
        orca_oob,
    )
}
"""The cases by official name."""
