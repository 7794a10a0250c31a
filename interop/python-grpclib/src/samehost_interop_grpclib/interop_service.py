"""grpc.testing.TestService, as grpc/grpc doc/interop-test-descriptions.md has it."""

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
"""What lets a proxy keep a response, for as long as the official description has it."""

_SERVER_ID = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
"""This server's own name, the same for its whole life."""

_PEER = "unix:"
"""What gRPC's servers say of who calls over a socket."""

_STATUSES = {status.value: status for status in Status}


class InteropService(TestServiceBase):
    """The service under test."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def EmptyCall(self, stream: "Stream[pb.Empty, pb.Empty]") -> None:
        """Answers nothing with nothing."""
        await the_request(stream)
        await stream.send_message(pb.Empty())

    async def UnaryCall(self, stream: "Stream[pb.SimpleRequest, pb.SimpleResponse]") -> None:
        """Answers with a payload, a status, metadata or a load report, as the request asks."""
        request = await the_request(stream)
        _refuse_unless_as_it_says(request)
        call = current()
        call.announced = call.compress = request.response_compressed.value
        await _send_initial_echo(stream)
        trailers = [*_echoed(stream, _ECHO_TRAILING), *_report_of_call(request)]
        if await _ended_early(stream, request, [request.response_size], trailers):
            return
        await stream.send_message(_unary_response(request))
        await stream.send_trailing_metadata(metadata=trailers)

    async def CacheableUnaryCall(self, stream: "Stream[pb.SimpleRequest, pb.SimpleResponse]") -> None:
        """Answers with the request's own payload, and lets a proxy keep the answer."""
        request = await the_request(stream)
        await stream.send_initial_metadata(metadata=_CACHEABLE)
        await stream.send_message(pb.SimpleResponse(payload=request.payload))

    async def StreamingOutputCall(self, stream: "OutputStream") -> None:
        """Answers one request with all that it asks for."""
        await _send_responses(stream, await the_request(stream))

    async def StreamingInputCall(
        self, stream: "Stream[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]"
    ) -> None:
        """Sums up the sizes of the payloads."""
        size = 0
        async for request in stream:
            _refuse_unless_as_it_says(request)
            size += len(request.payload.body)
        await stream.send_message(pb.StreamingInputCallResponse(aggregated_payload_size=size))

    async def FullDuplexCall(self, stream: "OutputStream") -> None:
        """Answers each request as it comes."""
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
        """Answers the requests when all have come."""
        for request in [request async for request in stream]:
            if await _send_responses(stream, request):
                return

    async def UnimplementedCall(self, _stream: "Stream[pb.Empty, pb.Empty]") -> None:
        """Is not implemented, which is what the contract asks for; grpclib wants all methods to be there."""
        raise GRPCError(Status.UNIMPLEMENTED, "Method not found")


async def _send_responses(
    stream: "OutputStream", request: pb.StreamingOutputCallRequest, trailers: Metadata | None = None
) -> bool:
    """Sends what one request asks for; True if that has ended the call."""
    if await _ended_early(stream, request, [each.size for each in request.response_parameters], trailers or []):
        return True
    call = current()
    call.announced = call.announced or any(each.compressed.value for each in request.response_parameters)
    for parameters in request.response_parameters:
        await asyncio.sleep(parameters.interval_us / 1e6)
        # What is not announced in the headers, which may have gone, must not come.
        call.compress = call.announced and parameters.compressed.value
        await stream.send_message(_output_response(parameters))
    return False


async def _ended_early(
    stream: "Stream[Any, Any]",
    request: pb.SimpleRequest | pb.StreamingOutputCallRequest,
    sizes: Iterable[int],
    trailers: Metadata,
) -> bool:
    """Ends the call with the status that is asked for, or because what is asked for can't be."""
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
        return Status.INVALID_ARGUMENT, f"response_type is {request.response_type}; 0 is the one there is"
    for size in sizes:
        if not 0 <= size <= MAX_MESSAGE_BYTES:
            return Status.INVALID_ARGUMENT, f"a size is {size} bytes; ask for 0 to {MAX_MESSAGE_BYTES}"
    return None


def _refuse_unless_as_it_says(request: pb.SimpleRequest | pb.StreamingInputCallRequest) -> None:
    """Refuses a request that came compressed, or plain, against its word."""
    expected, compressed = request.expect_compressed.value, current().compressed
    if request.HasField("expect_compressed") and expected != compressed:
        came = "compressed" if compressed else "uncompressed"
        raise GRPCError(Status.INVALID_ARGUMENT, f"expect_compressed is {expected} and the message came {came}")


async def _send_initial_echo(stream: "Stream[Any, Any]") -> None:
    if echo := _echoed(stream, _ECHO_INITIAL):
        await stream.send_initial_metadata(metadata=echo)


def _echoed(stream: "Stream[Any, Any]", key: str) -> Metadata:
    """The caller's metadata with this key, to be sent back."""
    values: Sequence[str | bytes] = stream.metadata.getall(key, ()) if stream.metadata else ()
    return [(key, value) for value in values]


def _report_of_call(request: pb.SimpleRequest) -> Metadata:
    """The trailer with the load report that the request asks for, if it does."""
    if not request.HasField("orca_per_query_report"):
        return []
    return [(TRAILER, load_report(request.orca_per_query_report).SerializeToString())]


def _unary_response(request: pb.SimpleRequest) -> pb.SimpleResponse:
    """The response with the payload that the request asks for; user and scope are unknown on a socket."""
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
