"""Defines the official cases of the asyncio client, as in cases.py."""
# ruff: noqa: D103

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from samehost.interop import orca_service_pb2_grpc, testing_pb2, testing_pb2_grpc
from samehost_client import SocketAddress, aio
from samehost_interop_python import checks, requests
from samehost_interop_python.cases import CASES as SYNCHRONOUS_CASES
from samehost_interop_python.cases import OUTPUT_PATH, OWN_CONNECTION, UNARY_PATH
from samehost_interop_python.compression import AS_ON_THE_WIRE, receiving
from samehost_interop_python.requests import DEADLINE

Response: TypeAlias = testing_pb2.StreamingOutputCallResponse
if TYPE_CHECKING:
    DuplexCall: TypeAlias = grpc.aio.StreamStreamCall[testing_pb2.StreamingOutputCallRequest, Response]


@dataclass(frozen=True)
class AsyncPeer:
    """The server under test: its address, and a channel to it."""

    address: SocketAddress
    channel: grpc.aio.Channel

    @property
    def stub(self) -> "testing_pb2_grpc.TestServiceAsyncStub":
        """The service under test."""
        return testing_pb2_grpc.TestServiceStub(self.channel)


@asynccontextmanager
async def duplex(peer: AsyncPeer, **options: Any) -> "AsyncIterator[DuplexCall]":
    """A FullDuplexCall that sends its requests one by one. Leaving the context ends the call."""
    call = peer.stub.FullDuplexCall(**{"timeout": DEADLINE, **options})
    try:
        yield call
    finally:
        call.cancel()


async def receive(call: "DuplexCall") -> Response | None:
    """Wait for a response. None means the end of the stream."""
    response = await call.read()
    return response if isinstance(response, Response) else None


async def empty_unary(peer: AsyncPeer) -> None:
    checks.empty(await peer.stub.EmptyCall(testing_pb2.Empty(), timeout=DEADLINE))


async def large_unary(peer: AsyncPeer) -> None:
    checks.large(await peer.stub.UnaryCall(requests.large(), timeout=DEADLINE))


async def cacheable_unary(peer: AsyncPeer) -> None:
    request = requests.cacheable()
    first = await peer.stub.CacheableUnaryCall(request, metadata=(requests.USER_IP,), timeout=DEADLINE)
    second = await peer.stub.CacheableUnaryCall(request, metadata=(requests.USER_IP,), timeout=DEADLINE)
    checks.cached(first, second)


async def client_compressed_unary(peer: AsyncPeer) -> None:
    with checks.status(grpc.StatusCode.INVALID_ARGUMENT):
        await peer.stub.UnaryCall(requests.large_expecting(compressed=True), timeout=DEADLINE)
    compressed = requests.large_expecting(compressed=True)
    checks.large(await peer.stub.UnaryCall(compressed, compression=grpc.Compression.Gzip, timeout=DEADLINE))
    checks.large(await peer.stub.UnaryCall(requests.large_expecting(compressed=False), timeout=DEADLINE))


async def server_compressed_unary(peer: AsyncPeer) -> None:
    async with await aio.connect(peer.address, options=[AS_ON_THE_WIRE]) as channel:
        call = channel.unary_unary(
            UNARY_PATH,
            request_serializer=testing_pb2.SimpleRequest.SerializeToString,
            response_deserializer=receiving(testing_pb2.SimpleResponse.FromString),
        )
        for compressed in (True, False):
            received = await call(requests.large_response_compressed(compressed=compressed), timeout=DEADLINE)
            checks.large_with_compression(received, compressed=compressed)


async def client_streaming(peer: AsyncPeer) -> None:
    response = await peer.stub.StreamingInputCall(iter(requests.inputs()), timeout=DEADLINE)
    checks.aggregated(response, requests.REQUEST_BYTES)


async def client_compressed_streaming(peer: AsyncPeer) -> None:
    with checks.status(grpc.StatusCode.INVALID_ARGUMENT):
        await peer.stub.StreamingInputCall(iter([requests.input_probe()]), timeout=DEADLINE)
    inputs = iter(requests.compressed_inputs())
    response = await peer.stub.StreamingInputCall(inputs, compression=grpc.Compression.Gzip, timeout=DEADLINE)
    checks.aggregated(response, requests.COMPRESSED_REQUEST_BYTES)


async def server_streaming(peer: AsyncPeer) -> None:
    responses = peer.stub.StreamingOutputCall(requests.output(*requests.RESPONSE_BYTES), timeout=DEADLINE)
    checks.outputs([each async for each in responses], requests.RESPONSE_BYTES)


async def server_compressed_streaming(peer: AsyncPeer) -> None:
    async with await aio.connect(peer.address, options=[AS_ON_THE_WIRE]) as channel:
        call = channel.unary_stream(
            OUTPUT_PATH,
            request_serializer=testing_pb2.StreamingOutputCallRequest.SerializeToString,
            response_deserializer=receiving(Response.FromString),
        )
        received = call(requests.compressed_output(), timeout=DEADLINE)
        checks.outputs_with_compression([each async for each in received])


async def ping_pong(peer: AsyncPeer) -> None:
    async with duplex(peer) as call:
        for request, size in zip(requests.ping_pong(), requests.RESPONSE_BYTES, strict=True):
            await call.write(request)
            checks.output(await receive(call), size)
        await call.done_writing()
        checks.end(await receive(call))


async def half_duplex(peer: AsyncPeer) -> None:
    outputs = (requests.output(size) for size in requests.RESPONSE_BYTES)
    responses = peer.stub.HalfDuplexCall(outputs, timeout=DEADLINE)
    checks.outputs([each async for each in responses], requests.RESPONSE_BYTES)


async def empty_stream(peer: AsyncPeer) -> None:
    async with duplex(peer) as call:
        await call.done_writing()
        checks.end(await receive(call))


async def custom_metadata(peer: AsyncPeer) -> None:
    metadata = (requests.ECHO_INITIAL, requests.ECHO_TRAILING)
    unary = peer.stub.UnaryCall(requests.large(), metadata=metadata, timeout=DEADLINE)
    checks.large(await unary)
    checks.echoes(await unary.initial_metadata(), await unary.trailing_metadata())
    async with duplex(peer, metadata=metadata) as call:
        await call.write(requests.large_output())
        await call.done_writing()
        checks.output(await receive(call), requests.LARGE_RESPONSE_BYTES)
        checks.end(await receive(call))
        checks.echoes(await call.initial_metadata(), await call.trailing_metadata())


async def status_code_and_message(peer: AsyncPeer) -> None:
    with checks.echoed_status(requests.STATUS):
        await peer.stub.UnaryCall(testing_pb2.SimpleRequest(response_status=requests.STATUS), timeout=DEADLINE)
    request = testing_pb2.StreamingOutputCallRequest(response_status=requests.STATUS)
    with checks.echoed_status(requests.STATUS):
        async for response in peer.stub.FullDuplexCall(iter([request]), timeout=DEADLINE):
            checks.end(response)


async def special_status_message(peer: AsyncPeer) -> None:
    request = testing_pb2.SimpleRequest(response_status=requests.SPECIAL_STATUS)
    with checks.echoed_status(requests.SPECIAL_STATUS):
        await peer.stub.UnaryCall(request, timeout=DEADLINE)


async def unimplemented_method(peer: AsyncPeer) -> None:
    with checks.status(grpc.StatusCode.UNIMPLEMENTED):
        await peer.stub.UnimplementedCall(testing_pb2.Empty(), timeout=DEADLINE)


async def unimplemented_service(peer: AsyncPeer) -> None:
    with checks.status(grpc.StatusCode.UNIMPLEMENTED):
        stub = testing_pb2_grpc.UnimplementedServiceStub(peer.channel)
        await stub.UnimplementedCall(testing_pb2.Empty(), timeout=DEADLINE)


async def cancel_after_begin(peer: AsyncPeer) -> None:
    call = peer.stub.StreamingInputCall(timeout=DEADLINE)
    await asyncio.sleep(0)  # lets the task of the call start and send its metadata
    call.cancel()
    checks.equal("status code", (await call.code()).name, "CANCELLED")


async def cancel_after_first_response(peer: AsyncPeer) -> None:
    async with duplex(peer) as call:
        await call.write(requests.ping_pong()[0])
        checks.output(await receive(call), requests.RESPONSE_BYTES[0])
        call.cancel()
        checks.equal("status code", (await call.code()).name, "CANCELLED")


async def timeout_on_sleeping_server(peer: AsyncPeer) -> None:
    async with duplex(peer, timeout=requests.TIMEOUT) as call:
        with checks.deadline(requests.TIMEOUT):
            await call.write(requests.sleeper())
            checks.end(await receive(call))


async def pick_first_unary(peer: AsyncPeer) -> None:
    request = testing_pb2.SimpleRequest(fill_server_id=True)
    responses = [await peer.stub.UnaryCall(request, timeout=DEADLINE) for _ in range(requests.PICK_FIRST_CALLS)]
    checks.same_server([response.server_id for response in responses])


async def concurrent_large_unary(peer: AsyncPeer) -> None:
    request = requests.large()
    calls = [
        peer.stub.UnaryCall(request, timeout=requests.CONCURRENT_DEADLINE) for _ in range(requests.CONCURRENT_CALLS)
    ]
    for call in calls:
        checks.large(await call)


async def rpc_soak(peer: AsyncPeer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration():
            await large_unary(peer)
    soak.verdict()


async def channel_soak(peer: AsyncPeer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration():
            async with await aio.connect(peer.address, options=[OWN_CONNECTION]) as channel:
                await large_unary(AsyncPeer(peer.address, channel))
    soak.verdict()


async def orca_per_rpc(peer: AsyncPeer) -> None:
    request = testing_pb2.SimpleRequest(orca_per_query_report=requests.PER_CALL_REPORT)
    call = peer.stub.UnaryCall(request, timeout=DEADLINE)
    await call
    checks.reported_with_call(await call.trailing_metadata())


async def orca_oob(peer: AsyncPeer) -> None:
    stub = orca_service_pb2_grpc.OpenRcaServiceStub(peer.channel)
    async with duplex(peer) as call:
        reports = stub.StreamCoreMetrics(requests.LISTEN, timeout=DEADLINE)
        for report in requests.OUT_OF_BAND_REPORTS:
            await call.write(requests.reporting(report))
            checks.output(await receive(call), 1)
            awaited = checks.AwaitedReport(report)
            async for each in reports:
                if awaited.is_this(each):
                    break
            else:
                awaited.never_came()
        await call.done_writing()
        checks.end(await receive(call))


CASES: dict[str, Callable[[AsyncPeer], Awaitable[None]]] = {name: globals()[name] for name in SYNCHRONOUS_CASES}
"""The cases by official name, which are those of the synchronous client."""
