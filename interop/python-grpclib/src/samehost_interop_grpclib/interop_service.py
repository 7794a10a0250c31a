"""Implements grpc.testing.TestService (grpc/grpc doc/interop-test-descriptions.md)."""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost.interop import testing_pb2 as pb
from samehost.interop.testing_grpc import TestServiceBase
from samehost_interop_grpclib.compression import MAX_MESSAGE_BYTES, current
from samehost_interop_grpclib.orca import TRAILER, LoadReports, load_report
from samehost_interop_grpclib.receiving import the_request

if TYPE_CHECKING:
    from typing import Any

    from grpclib.server import Stream

    OutputStream: TypeAlias = Stream[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]

Metadata: TypeAlias = list[tuple[str, str | bytes]]

_ECHO_INITIAL = "x-grpc-test-echo-initial"
_ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
_CACHEABLE = {"cache-control": "max-age=60, public"}
"""Lets a proxy cache a response. The official description sets the duration."""

_SERVER_ID = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
"""A unique name of this server process."""

_PEER = "unix:"
"""The address that gRPC's servers report for a client on a Unix socket."""

_STATUSES = {status.value: status for status in Status}


class InteropService(TestServiceBase):
    """The service under test."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def EmptyCall(self, stream: "Stream[pb.Empty, pb.Empty]") -> None:
        """Answer an empty request with an empty response."""
        await the_request(stream)
        await stream.send_message(pb.Empty())

    async def UnaryCall(self, stream: "Stream[pb.SimpleRequest, pb.SimpleResponse]") -> None:
        """Answer with the payload, status, metadata or load report that the request names."""
        request = await the_request(stream)
        _check_compression(request)
        call = current()
        call.announced = call.compress = request.response_compressed.value
        await _send_initial_echo(stream)
        trailers = [*_echoed(stream, _ECHO_TRAILING), *_report_of_call(request)]
        if await _ended_early(stream, request, [request.response_size], trailers):
            return
        await stream.send_message(_unary_response(request))
        await stream.send_trailing_metadata(metadata=trailers)

    async def CacheableUnaryCall(self, stream: "Stream[pb.SimpleRequest, pb.SimpleResponse]") -> None:
        """Answer with the payload of the request, and let a proxy cache the response."""
        request = await the_request(stream)
        await stream.send_initial_metadata(metadata=_CACHEABLE)
        await stream.send_message(pb.SimpleResponse(payload=request.payload))

    async def StreamingOutputCall(self, stream: "OutputStream") -> None:
        """Answer one request with all responses that it names."""
        await _send_responses(stream, await the_request(stream))

    async def StreamingInputCall(
        self, stream: "Stream[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]"
    ) -> None:
        """Add up the sizes of the payloads."""
        size = 0
        async for request in stream:
            _check_compression(request)
            size += len(request.payload.body)
        await stream.send_message(pb.StreamingInputCallResponse(aggregated_payload_size=size))

    async def FullDuplexCall(self, stream: "OutputStream") -> None:
        """Answer each request as it arrives."""
        await _send_initial_echo(stream)
        trailers = _echoed(stream, _ECHO_TRAILING)
        async with contextlib.AsyncExitStack() as stack:
            has_turn = False
            async for request in stream:
                if request.HasField("orca_oob_report"):
                    if not has_turn:
                        await stack.enter_async_context(self._reports.turn)
                        has_turn = True
                    self._reports.current = load_report(request.orca_oob_report)
                if await _send_responses(stream, request, trailers):
                    return
        await stream.send_trailing_metadata(metadata=trailers)

    async def HalfDuplexCall(self, stream: "OutputStream") -> None:
        """Answer the requests after all have arrived."""
        for request in [request async for request in stream]:
            if await _send_responses(stream, request):
                return

    async def UnimplementedCall(self, _stream: "Stream[pb.Empty, pb.Empty]") -> None:
        """Answer UNIMPLEMENTED, as the contract requires. grpclib requires a method for it."""
        raise GRPCError(Status.UNIMPLEMENTED, "Method not found")


async def _send_responses(
    stream: "OutputStream", request: pb.StreamingOutputCallRequest, trailers: Metadata | None = None
) -> bool:
    """Send the responses that one request names. Return True if this ended the call."""
    if await _ended_early(stream, request, [each.size for each in request.response_parameters], trailers or []):
        return True
    call = current()
    call.announced = call.announced or any(each.compressed.value for each in request.response_parameters)
    for parameters in request.response_parameters:
        await asyncio.sleep(parameters.interval_us / 1e6)
        # A message must not be compressed unless the headers announced it, and they may already be sent.
        call.compress = call.announced and parameters.compressed.value
        await stream.send_message(_output_response(parameters))
    return False


async def _ended_early(
    stream: "Stream[Any, Any]",
    request: pb.SimpleRequest | pb.StreamingOutputCallRequest,
    sizes: Iterable[int],
    trailers: Metadata,
) -> bool:
    """End the call if the request names a status or is invalid. Return whether it ended."""
    refused = _refusal(request, sizes)
    if refused:
        status, message = refused
        await stream.send_trailing_metadata(status=status, status_message=message, metadata=trailers)
    return bool(refused)


def _refusal(
    request: pb.SimpleRequest | pb.StreamingOutputCallRequest, sizes: Iterable[int]
) -> tuple[Status, str] | None:
    if request.response_status.code:
        return _STATUSES.get(request.response_status.code, Status.UNKNOWN), request.response_status.message
    if request.response_type != pb.COMPRESSABLE:
        return Status.INVALID_ARGUMENT, f"invalid response_type {request.response_type}: use 0"
    for size in sizes:
        if not 0 <= size <= MAX_MESSAGE_BYTES:
            return Status.INVALID_ARGUMENT, f"invalid size of {size} bytes: use 0 to {MAX_MESSAGE_BYTES}"
    return None


def _check_compression(request: pb.SimpleRequest | pb.StreamingInputCallRequest) -> None:
    """Fail the call if `expect_compressed` does not match how the request arrived."""
    expected, compressed = request.expect_compressed.value, current().compressed
    if request.HasField("expect_compressed") and expected != compressed:
        actual = "compressed" if compressed else "uncompressed"
        raise GRPCError(Status.INVALID_ARGUMENT, f"expect_compressed is {expected}, but the message is {actual}")


async def _send_initial_echo(stream: "Stream[Any, Any]") -> None:
    if echo := _echoed(stream, _ECHO_INITIAL):
        await stream.send_initial_metadata(metadata=echo)


def _echoed(stream: "Stream[Any, Any]", key: str) -> Metadata:
    """Return the caller's metadata with this key, to send it back."""
    values: Sequence[str | bytes] = stream.metadata.getall(key, ()) if stream.metadata else ()
    return [(key, value) for value in values]


def _report_of_call(request: pb.SimpleRequest) -> Metadata:
    """Return the trailer with the load report, if the request names one."""
    if not request.HasField("orca_per_query_report"):
        return []
    return [(TRAILER, load_report(request.orca_per_query_report).SerializeToString())]


def _unary_response(request: pb.SimpleRequest) -> pb.SimpleResponse:
    """Return the response with the payload that the request names. A Unix socket has no user and no OAuth scope."""
    return pb.SimpleResponse(
        payload=pb.Payload(body=bytes(request.response_size)),
        server_id=_SERVER_ID if request.fill_server_id else "",
        hostname=socket.gethostname(),
    )


def _output_response(parameters: pb.ResponseParameters) -> pb.StreamingOutputCallResponse:
    return pb.StreamingOutputCallResponse(
        payload=pb.Payload(body=bytes(parameters.size)),
        peer_socket_address=_PEER if parameters.fill_peer_socket_address.value else "",
    )
