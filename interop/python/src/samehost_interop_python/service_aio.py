"""Implements grpc.testing.TestService for the asyncio server. service.py creates the responses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc
from samehost_interop_python.orca import LoadReports, load_report
from samehost_interop_python.service import (
    CACHEABLE,
    ECHO_INITIAL,
    ECHO_TRAILING,
    OutputRequest,
    OutputResponse,
    compress,
    echoed,
    output_response,
    pause_seconds,
    refusal,
    report_of_call,
    unary_response,
)

AsyncContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class AsyncInteropService(testing_pb2_grpc.TestServiceServicer):
    """The service under test, in an event loop."""

    # The generated method, which answers UNIMPLEMENTED. The contract forbids an own implementation.
    UnimplementedCall = testing_pb2_grpc.TestServiceServicer.UnimplementedCall

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports
        self._reports_turn = asyncio.Lock()

    async def EmptyCall(self, _request: testing_pb2.Empty, _context: AsyncContext) -> testing_pb2.Empty:
        """Answer an empty request with an empty response."""
        return testing_pb2.Empty()

    async def UnaryCall(self, request: testing_pb2.SimpleRequest, context: AsyncContext) -> testing_pb2.SimpleResponse:
        """Answer with the payload, status, metadata or load report that the request names."""
        compress(context, request.response_compressed.value)
        echo = echoed(context, ECHO_INITIAL)
        # Send the headers first. If grpcio's asyncio server sends them together with a response, it leaves the
        # compression out (grpc/grpc 34690).
        if echo or request.response_compressed.value:
            await context.send_initial_metadata(echo)
        context.set_trailing_metadata((*echoed(context, ECHO_TRAILING), *report_of_call(request)))
        if refused := refusal(request, [request.response_size]):
            await context.abort(*refused)
        return unary_response(request)

    async def CacheableUnaryCall(
        self, request: testing_pb2.SimpleRequest, context: AsyncContext
    ) -> testing_pb2.SimpleResponse:
        """Answer with the payload of the request, and let a proxy cache the response."""
        await context.send_initial_metadata(CACHEABLE)
        return testing_pb2.SimpleResponse(payload=request.payload)

    async def StreamingOutputCall(self, request: OutputRequest, context: AsyncContext) -> AsyncIterator[OutputResponse]:
        """Answer one request with all responses that it names."""
        async for response in _responses(request, context):
            yield response

    async def StreamingInputCall(
        self, request_iterator: AsyncIterator[testing_pb2.StreamingInputCallRequest], _context: AsyncContext
    ) -> testing_pb2.StreamingInputCallResponse:
        """Add up the sizes of the payloads."""
        size = 0
        async for request in request_iterator:
            size += len(request.payload.body)
        return testing_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    async def FullDuplexCall(
        self, request_iterator: AsyncIterator[OutputRequest], context: AsyncContext
    ) -> AsyncIterator[OutputResponse]:
        """Answer each request as it arrives."""
        if echo := echoed(context, ECHO_INITIAL):
            await context.send_initial_metadata(echo)
        context.set_trailing_metadata(echoed(context, ECHO_TRAILING))
        async with contextlib.AsyncExitStack() as stack:
            has_turn = False
            async for request in request_iterator:
                if request.HasField("orca_oob_report"):
                    if not has_turn:
                        # One client at a time, because the server has one report and each client expects its own.
                        await stack.enter_async_context(self._reports_turn)
                        has_turn = True
                    self._reports.current = load_report(request.orca_oob_report)
                async for response in _responses(request, context):
                    yield response

    async def HalfDuplexCall(
        self, request_iterator: AsyncIterator[OutputRequest], context: AsyncContext
    ) -> AsyncIterator[OutputResponse]:
        """Answer the requests after all have arrived."""
        for request in [request async for request in request_iterator]:
            async for response in _responses(request, context):
                yield response


async def _responses(request: OutputRequest, context: AsyncContext) -> AsyncIterator[OutputResponse]:
    if refused := refusal(request, [each.size for each in request.response_parameters]):
        await context.abort(*refused)
    compress(context, any(each.compressed.value for each in request.response_parameters))
    for parameters in request.response_parameters:
        await asyncio.sleep(pause_seconds(parameters))
        yield output_response(parameters, context)
