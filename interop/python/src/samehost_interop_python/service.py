"""grpc.testing.TestService for the synchronous server, and what the asyncio one shares with it.

Whether a request came compressed as it says is checked before it gets here, in compression.py.
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
"""What lets a proxy keep a response, for as long as the official description has it."""

SERVER_ID = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
"""This server's own name, the same for its whole life."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class InteropService(testing_pb2_grpc.TestServiceServicer):
    """The service under test, one thread for each call."""

    # The generated one, which answers UNIMPLEMENTED: it is part of the contract that no server writes its own.
    UnimplementedCall = testing_pb2_grpc.TestServiceServicer.UnimplementedCall

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports
        self._reports_turn = threading.Lock()

    def EmptyCall(self, _request: testing_pb2.Empty, _context: grpc.ServicerContext) -> testing_pb2.Empty:
        """Answers nothing with nothing."""
        return testing_pb2.Empty()

    def UnaryCall(
        self, request: testing_pb2.SimpleRequest, context: grpc.ServicerContext
    ) -> testing_pb2.SimpleResponse:
        """Answers with a payload, a status, metadata or a load report, as the request asks."""
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
        """Answers with the request's own payload, and lets a proxy keep the answer."""
        context.send_initial_metadata(CACHEABLE)
        return testing_pb2.SimpleResponse(payload=request.payload)

    def StreamingOutputCall(self, request: OutputRequest, context: grpc.ServicerContext) -> Iterator[OutputResponse]:
        """Answers one request with all that it asks for."""
        yield from _responses(request, context)

    def StreamingInputCall(
        self, request_iterator: Iterator[testing_pb2.StreamingInputCallRequest], _context: grpc.ServicerContext
    ) -> testing_pb2.StreamingInputCallResponse:
        """Sums up the sizes of the payloads."""
        size = sum(len(request.payload.body) for request in request_iterator)
        return testing_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(
        self, request_iterator: Iterator[OutputRequest], context: grpc.ServicerContext
    ) -> Iterator[OutputResponse]:
        """Answers each request as it comes."""
        if echo := echoed(context, ECHO_INITIAL):
            context.send_initial_metadata(echo)
        context.set_trailing_metadata(echoed(context, ECHO_TRAILING))
        with contextlib.ExitStack() as stack:
            has_turn = False
            for request in request_iterator:
                if request.HasField("orca_oob_report"):
                    if not has_turn:
                        # One client at a time: the server has one report, and each expects its own.
                        stack.enter_context(self._reports_turn)
                        has_turn = True
                    self._reports.current = load_report(request.orca_oob_report)
                yield from _responses(request, context)

    def HalfDuplexCall(
        self, request_iterator: Iterator[OutputRequest], context: grpc.ServicerContext
    ) -> Iterator[OutputResponse]:
        """Answers the requests when all have come."""
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
    """The caller's metadata with this key, to be sent back."""
    return tuple((name, value) for name, value in context.invocation_metadata() or () if name == key)


def report_of_call(request: testing_pb2.SimpleRequest) -> Metadata:
    """The trailer with the load report that the request asks for, if it does."""
    if not request.HasField("orca_per_query_report"):
        return ()
    return ((TRAILER, load_report(request.orca_per_query_report).SerializeToString()),)


def refusal(
    request: testing_pb2.SimpleRequest | OutputRequest, sizes: Iterable[int]
) -> tuple[grpc.StatusCode, str] | None:
    """The status that a call ends with instead of a response: because it is asked for, or can't be answered."""
    if request.response_status.code:
        code = _CODES.get(request.response_status.code, grpc.StatusCode.UNKNOWN)
        return code, request.response_status.message
    if request.response_type != testing_pb2.COMPRESSABLE:
        return grpc.StatusCode.INVALID_ARGUMENT, f"response_type is {request.response_type}; 0 is the one there is"
    for size in sizes:
        if not 0 <= size <= MAX_MESSAGE_BYTES:
            return grpc.StatusCode.INVALID_ARGUMENT, f"a size is {size} bytes; ask for 0 to {MAX_MESSAGE_BYTES}"
    return None


def compress(context: Context, wanted: bool) -> None:
    """Lets responses be compressed; which must come before the first one, as it is said in the headers."""
    if wanted:
        context.set_compression(grpc.Compression.Gzip)


def unary_response(request: testing_pb2.SimpleRequest) -> testing_pb2.SimpleResponse:
    """The response with the payload that the request asks for; user and scope are unknown on a socket."""
    return testing_pb2.SimpleResponse(
        payload=testing_pb2.Payload(body=bytes(request.response_size)),
        server_id=SERVER_ID if request.fill_server_id else "",
        hostname=socket.gethostname(),
    )


def output_response(parameters: testing_pb2.ResponseParameters, context: Context) -> OutputResponse:
    """The next response of a stream, marked so that it is sent compressed or not."""
    if not parameters.compressed.value:
        context.disable_next_message_compression()
    return testing_pb2.StreamingOutputCallResponse(
        payload=testing_pb2.Payload(body=bytes(parameters.size)),
        peer_socket_address=context.peer() if parameters.fill_peer_socket_address.value else "",
    )


def pause_seconds(parameters: testing_pb2.ResponseParameters) -> float:
    """How long to wait before a response."""
    return parameters.interval_us / 1e6
