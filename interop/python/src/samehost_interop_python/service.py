"""Implements grpc.testing.TestService for the synchronous server, with the parts that the asyncio server shares.

compression.py checks `expect_compressed` before a request arrives here.
"""

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc
from samehost_interop_python.compression import MAX_MESSAGE_BYTES
from samehost_interop_python.orca import TRAILER, LoadReports, load_report

Context: TypeAlias = grpc.ServicerContext | grpc.aio.ServicerContext[Any, Any]
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
OutputRequest: TypeAlias = testing_pb2.StreamingOutputCallRequest
OutputResponse: TypeAlias = testing_pb2.StreamingOutputCallResponse

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
CACHEABLE = (("cache-control", "max-age=60, public"),)
"""Lets a proxy cache a response. The official description sets the duration."""

SERVER_ID = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
"""A unique name of this server process."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class InteropService(testing_pb2_grpc.TestServiceServicer):
    """The service under test, with one thread for each call."""

    # The generated method, which answers UNIMPLEMENTED. The contract forbids an own implementation.
    UnimplementedCall = testing_pb2_grpc.TestServiceServicer.UnimplementedCall

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports
        self._reports_turn = threading.Lock()

    def EmptyCall(self, _request: testing_pb2.Empty, _context: grpc.ServicerContext) -> testing_pb2.Empty:
        """Answer an empty request with an empty response."""
        return testing_pb2.Empty()

    def UnaryCall(
        self, request: testing_pb2.SimpleRequest, context: grpc.ServicerContext
    ) -> testing_pb2.SimpleResponse:
        """Answer with the payload, status, metadata or load report that the request names."""
        compress(context, request.response_compressed.value)
        if echo := echoed(context, ECHO_INITIAL):
            context.send_initial_metadata(echo)
        context.set_trailing_metadata((*echoed(context, ECHO_TRAILING), *report_of_call(request)))
        if refused := refusal(request, [request.response_size]):
            context.abort(*refused)
        return unary_response(request)

    def CacheableUnaryCall(
        self, request: testing_pb2.SimpleRequest, context: grpc.ServicerContext
    ) -> testing_pb2.SimpleResponse:
        """Answer with the payload of the request, and let a proxy cache the response."""
        context.send_initial_metadata(CACHEABLE)
        return testing_pb2.SimpleResponse(payload=request.payload)

    def StreamingOutputCall(self, request: OutputRequest, context: grpc.ServicerContext) -> Iterator[OutputResponse]:
        """Answer one request with all responses that it names."""
        yield from _responses(request, context)

    def StreamingInputCall(
        self, request_iterator: Iterator[testing_pb2.StreamingInputCallRequest], _context: grpc.ServicerContext
    ) -> testing_pb2.StreamingInputCallResponse:
        """Add up the sizes of the payloads."""
        size = sum(len(request.payload.body) for request in request_iterator)
        return testing_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(
        self, request_iterator: Iterator[OutputRequest], context: grpc.ServicerContext
    ) -> Iterator[OutputResponse]:
        """Answer each request as it arrives."""
        if echo := echoed(context, ECHO_INITIAL):
            context.send_initial_metadata(echo)
        context.set_trailing_metadata(echoed(context, ECHO_TRAILING))
        with contextlib.ExitStack() as stack:
            has_turn = False
            for request in request_iterator:
                if request.HasField("orca_oob_report"):
                    if not has_turn:
                        # One client at a time, because the server has one report and each client expects its own.
                        stack.enter_context(self._reports_turn)
                        has_turn = True
                    self._reports.current = load_report(request.orca_oob_report)
                yield from _responses(request, context)

    def HalfDuplexCall(
        self, request_iterator: Iterator[OutputRequest], context: grpc.ServicerContext
    ) -> Iterator[OutputResponse]:
        """Answer the requests after all have arrived."""
        for request in list(request_iterator):
            yield from _responses(request, context)


def _responses(request: OutputRequest, context: grpc.ServicerContext) -> Iterator[OutputResponse]:
    over = threading.Event()
    if not context.add_callback(over.set):
        return
    if refused := refusal(request, [each.size for each in request.response_parameters]):
        context.abort(*refused)
    compress(context, any(each.compressed.value for each in request.response_parameters))
    for parameters in request.response_parameters:
        if parameters.interval_us > 0 and over.wait(pause_seconds(parameters)):
            return
        yield output_response(parameters, context)


def echoed(context: Context, key: str) -> Metadata:
    """Return the caller's metadata with this key, to send it back."""
    return tuple((name, value) for name, value in context.invocation_metadata() or () if name == key)


def report_of_call(request: testing_pb2.SimpleRequest) -> Metadata:
    """Return the trailer with the load report, if the request names one."""
    if not request.HasField("orca_per_query_report"):
        return ()
    return ((TRAILER, load_report(request.orca_per_query_report).SerializeToString()),)


def refusal(
    request: testing_pb2.SimpleRequest | OutputRequest, sizes: Iterable[int]
) -> tuple[grpc.StatusCode, str] | None:
    """Return the status that ends the call instead of a response, if the request names one or is invalid."""
    if request.response_status.code:
        code = _CODES.get(request.response_status.code, grpc.StatusCode.UNKNOWN)
        return code, request.response_status.message
    if request.response_type != testing_pb2.COMPRESSABLE:
        return grpc.StatusCode.INVALID_ARGUMENT, f"invalid response_type {request.response_type}: use 0"
    for size in sizes:
        if not 0 <= size <= MAX_MESSAGE_BYTES:
            return grpc.StatusCode.INVALID_ARGUMENT, f"invalid size of {size} bytes: use 0 to {MAX_MESSAGE_BYTES}"
    return None


def compress(context: Context, wanted: bool) -> None:
    """Allow compressed responses. Call this before the first response, because the headers announce compression."""
    if wanted:
        context.set_compression(grpc.Compression.Gzip)


def unary_response(request: testing_pb2.SimpleRequest) -> testing_pb2.SimpleResponse:
    """Return the response with the payload that the request names. A Unix socket has no user and no OAuth scope."""
    return testing_pb2.SimpleResponse(
        payload=testing_pb2.Payload(body=bytes(request.response_size)),
        server_id=SERVER_ID if request.fill_server_id else "",
        hostname=socket.gethostname(),
    )


def output_response(parameters: testing_pb2.ResponseParameters, context: Context) -> OutputResponse:
    """Return the next response of a stream, and choose whether it is sent compressed."""
    if not parameters.compressed.value:
        context.disable_next_message_compression()
    return testing_pb2.StreamingOutputCallResponse(
        payload=testing_pb2.Payload(body=bytes(parameters.size)),
        peer_socket_address=context.peer() if parameters.fill_peer_socket_address.value else "",
    )


def pause_seconds(parameters: testing_pb2.ResponseParameters) -> float:
    """Return how long to wait before a response."""
    return parameters.interval_us / 1e6
