"""Defines the official cases of the synchronous client, one function for each.

requests.py has their requests, and checks.py their assertions. The asyncio client shares both.
"""
# ruff: noqa: D103

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from samehost.interop import orca_service_pb2_grpc, testing_pb2, testing_pb2_grpc
from samehost_client import SocketAddress, connect
from samehost_interop_python import checks, requests
from samehost_interop_python.compression import AS_ON_THE_WIRE, receiving
from samehost_interop_python.requests import DEADLINE

OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
"""A channel option that gives the channel its own connection. C-core's channels to one address otherwise share one."""

UNARY_PATH = "/grpc.testing.TestService/UnaryCall"
OUTPUT_PATH = "/grpc.testing.TestService/StreamingOutputCall"


@dataclass(frozen=True)
class Peer:
    """The server under test: its address, and a channel to it."""

    address: SocketAddress
    channel: grpc.Channel

    @property
    def stub(self) -> testing_pb2_grpc.TestServiceStub:
        """The service under test."""
        return testing_pb2_grpc.TestServiceStub(self.channel)


class Duplex:
    """A FullDuplexCall that sends its requests one by one. Leaving the context ends the call."""

    def __init__(self, peer: Peer, **options: Any) -> None:
        self._requests: queue.SimpleQueue[testing_pb2.StreamingOutputCallRequest | None] = queue.SimpleQueue()
        self.call = peer.stub.FullDuplexCall(iter(self._requests.get, None), **{"timeout": DEADLINE, **options})

    def send(self, request: testing_pb2.StreamingOutputCallRequest) -> None:
        """Send a request."""
        self._requests.put(request)

    def half_close(self) -> None:
        """Signal that no request follows."""
        self._requests.put(None)

    def receive(self) -> testing_pb2.StreamingOutputCallResponse | None:
        """Wait for a response. None means the end of the stream."""
        return next(self.call, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.put(None)
        self.call.cancel()


def empty_unary(peer: Peer) -> None:
    checks.empty(peer.stub.EmptyCall(testing_pb2.Empty(), timeout=DEADLINE))


def large_unary(peer: Peer) -> None:
    checks.large(peer.stub.UnaryCall(requests.large(), timeout=DEADLINE))


def cacheable_unary(peer: Peer) -> None:
    # A C-core client can no longer mark a request as cacheable (grpc/grpc 28922), so these are POSTs, which no proxy
    # caches. The responses are equal because the server answers the same request with the same payload.
    request = requests.cacheable()
    first, second = (
        peer.stub.CacheableUnaryCall(request, metadata=(requests.USER_IP,), timeout=DEADLINE) for _ in range(2)
    )
    checks.cached(first, second)


def client_compressed_unary(peer: Peer) -> None:
    with checks.status(grpc.StatusCode.INVALID_ARGUMENT):
        peer.stub.UnaryCall(requests.large_expecting(compressed=True), timeout=DEADLINE)
    compressed = requests.large_expecting(compressed=True)
    checks.large(peer.stub.UnaryCall(compressed, compression=grpc.Compression.Gzip, timeout=DEADLINE))
    checks.large(peer.stub.UnaryCall(requests.large_expecting(compressed=False), timeout=DEADLINE))


def server_compressed_unary(peer: Peer) -> None:
    with connect(peer.address, options=[AS_ON_THE_WIRE]) as channel:
        call = channel.unary_unary(
            UNARY_PATH,
            request_serializer=testing_pb2.SimpleRequest.SerializeToString,
            response_deserializer=receiving(testing_pb2.SimpleResponse.FromString),
        )
        for compressed in (True, False):
            received = call(requests.large_response_compressed(compressed=compressed), timeout=DEADLINE)
            checks.large_with_compression(received, compressed=compressed)


def client_streaming(peer: Peer) -> None:
    checks.aggregated(peer.stub.StreamingInputCall(iter(requests.inputs()), timeout=DEADLINE), requests.REQUEST_BYTES)


def client_compressed_streaming(peer: Peer) -> None:
    with checks.status(grpc.StatusCode.INVALID_ARGUMENT):
        peer.stub.StreamingInputCall(iter([requests.input_probe()]), timeout=DEADLINE)
    inputs = iter(requests.compressed_inputs())
    response = peer.stub.StreamingInputCall(inputs, compression=grpc.Compression.Gzip, timeout=DEADLINE)
    checks.aggregated(response, requests.COMPRESSED_REQUEST_BYTES)


def server_streaming(peer: Peer) -> None:
    responses = peer.stub.StreamingOutputCall(requests.output(*requests.RESPONSE_BYTES), timeout=DEADLINE)
    checks.outputs(list(responses), requests.RESPONSE_BYTES)


def server_compressed_streaming(peer: Peer) -> None:
    with connect(peer.address, options=[AS_ON_THE_WIRE]) as channel:
        call = channel.unary_stream(
            OUTPUT_PATH,
            request_serializer=testing_pb2.StreamingOutputCallRequest.SerializeToString,
            response_deserializer=receiving(testing_pb2.StreamingOutputCallResponse.FromString),
        )
        checks.outputs_with_compression(list(call(requests.compressed_output(), timeout=DEADLINE)))


def ping_pong(peer: Peer) -> None:
    with Duplex(peer) as stream:
        for request, size in zip(requests.ping_pong(), requests.RESPONSE_BYTES, strict=True):
            stream.send(request)
            checks.output(stream.receive(), size)
        stream.half_close()
        checks.end(stream.receive())


def half_duplex(peer: Peer) -> None:
    outputs = (requests.output(size) for size in requests.RESPONSE_BYTES)
    checks.outputs(list(peer.stub.HalfDuplexCall(outputs, timeout=DEADLINE)), requests.RESPONSE_BYTES)


def empty_stream(peer: Peer) -> None:
    with Duplex(peer) as stream:
        stream.half_close()
        checks.end(stream.receive())


def custom_metadata(peer: Peer) -> None:
    metadata = (requests.ECHO_INITIAL, requests.ECHO_TRAILING)
    response, call = peer.stub.UnaryCall.with_call(requests.large(), metadata=metadata, timeout=DEADLINE)
    checks.large(response)
    checks.echoes(call.initial_metadata(), call.trailing_metadata())
    with Duplex(peer, metadata=metadata) as stream:
        stream.send(requests.large_output())
        stream.half_close()
        checks.output(stream.receive(), requests.LARGE_RESPONSE_BYTES)
        checks.end(stream.receive())
        checks.echoes(stream.call.initial_metadata(), stream.call.trailing_metadata())


def status_code_and_message(peer: Peer) -> None:
    with checks.echoed_status(requests.STATUS):
        peer.stub.UnaryCall(testing_pb2.SimpleRequest(response_status=requests.STATUS), timeout=DEADLINE)
    with Duplex(peer) as stream, checks.echoed_status(requests.STATUS):
        stream.send(testing_pb2.StreamingOutputCallRequest(response_status=requests.STATUS))
        stream.half_close()
        checks.end(stream.receive())


def special_status_message(peer: Peer) -> None:
    with checks.echoed_status(requests.SPECIAL_STATUS):
        peer.stub.UnaryCall(testing_pb2.SimpleRequest(response_status=requests.SPECIAL_STATUS), timeout=DEADLINE)


def unimplemented_method(peer: Peer) -> None:
    with checks.status(grpc.StatusCode.UNIMPLEMENTED):
        peer.stub.UnimplementedCall(testing_pb2.Empty(), timeout=DEADLINE)


def unimplemented_service(peer: Peer) -> None:
    with checks.status(grpc.StatusCode.UNIMPLEMENTED):
        stub = testing_pb2_grpc.UnimplementedServiceStub(peer.channel)
        stub.UnimplementedCall(testing_pb2.Empty(), timeout=DEADLINE)


def cancel_after_begin(peer: Peer) -> None:
    no_requests: queue.SimpleQueue[testing_pb2.StreamingInputCallRequest | None] = queue.SimpleQueue()
    call = peer.stub.StreamingInputCall.future(iter(no_requests.get, None), timeout=DEADLINE)
    call.cancel()
    no_requests.put(None)
    checks.equal("status code", call.code().name, "CANCELLED")


def cancel_after_first_response(peer: Peer) -> None:
    with Duplex(peer) as stream:
        stream.send(requests.ping_pong()[0])
        checks.output(stream.receive(), requests.RESPONSE_BYTES[0])
        stream.call.cancel()
        checks.equal("status code", stream.call.code().name, "CANCELLED")


def timeout_on_sleeping_server(peer: Peer) -> None:
    with Duplex(peer, timeout=requests.TIMEOUT) as stream, checks.deadline(requests.TIMEOUT):
        stream.send(requests.sleeper())
        checks.end(stream.receive())


def pick_first_unary(peer: Peer) -> None:
    request = testing_pb2.SimpleRequest(fill_server_id=True)
    responses = [peer.stub.UnaryCall(request, timeout=DEADLINE) for _ in range(requests.PICK_FIRST_CALLS)]
    checks.same_server([response.server_id for response in responses])


def concurrent_large_unary(peer: Peer) -> None:
    request = requests.large()
    calls = [
        peer.stub.UnaryCall.future(request, timeout=requests.CONCURRENT_DEADLINE)
        for _ in range(requests.CONCURRENT_CALLS)
    ]
    for call in calls:
        checks.large(call.result())


def rpc_soak(peer: Peer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration():
            large_unary(peer)
    soak.verdict()


def channel_soak(peer: Peer) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        with soak.iteration(), connect(peer.address, options=[OWN_CONNECTION]) as channel:
            large_unary(Peer(peer.address, channel))
    soak.verdict()


def orca_per_rpc(peer: Peer) -> None:
    # Known to fail: C-core passes this trailer only to load balancing policies, which cannot be written in Python, and
    # not to the application (grpc/grpc src/core/call/metadata_batch.h, EndpointLoadMetricsBinMetadata::kPublishToApp).
    request = testing_pb2.SimpleRequest(orca_per_query_report=requests.PER_CALL_REPORT)
    _, call = peer.stub.UnaryCall.with_call(request, timeout=DEADLINE)
    checks.reported_with_call(call.trailing_metadata())


def orca_oob(peer: Peer) -> None:
    listener = orca_service_pb2_grpc.OpenRcaServiceStub(peer.channel)
    with Duplex(peer) as stream:
        reports: Iterator[Any] = listener.StreamCoreMetrics(requests.LISTEN, timeout=DEADLINE)
        for report in requests.OUT_OF_BAND_REPORTS:
            stream.send(requests.reporting(report))
            checks.output(stream.receive(), 1)
            awaited = checks.AwaitedReport(report)
            if not any(awaited.is_this(each) for each in reports):
                awaited.never_came()
        stream.half_close()
        checks.end(stream.receive())


CASES: dict[str, Callable[[Peer], None]] = {
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
