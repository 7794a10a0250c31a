"""A service that records its calls, to find calls that took effect twice or not at all.

Serve it with `samehost-server --services faults.service:journal`, or `:async_journal` with `--aio`.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc

JOURNAL = "SAMEHOST_FAULTS_JOURNAL"
"""The environment variable with the journal, a file to which each server of a run appends the ids of its calls."""

ID_BYTES = 16

Request = testing_pb2.SimpleRequest
OutputRequest = testing_pb2.StreamingOutputCallRequest
OutputResponse = testing_pb2.StreamingOutputCallResponse


class _Journal(testing_pb2_grpc.TestServiceServicer):
    """The common part of both kinds. It writes a line for each call, which O_APPEND makes atomic."""

    def __init__(self) -> None:
        self._descriptor = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _answer(self, request: Request) -> testing_pb2.SimpleResponse:
        os.write(self._descriptor, request.payload.body[:ID_BYTES].hex().encode() + b"\n")
        return testing_pb2.SimpleResponse(payload=request.payload)


class Journal(_Journal):
    """The service for a synchronous server."""

    def UnaryCall(self, request: Request, _context: grpc.ServicerContext) -> testing_pb2.SimpleResponse:
        """Echo the payload."""
        return self._answer(request)

    def StreamingOutputCall(self, request: OutputRequest, context: grpc.ServicerContext) -> Iterator[OutputResponse]:
        """Send responses of the requested sizes at the requested intervals."""
        over = threading.Event()
        context.add_callback(over.set)
        for each in request.response_parameters:
            if over.wait(each.interval_us / 1e6):
                return
            yield OutputResponse(payload=testing_pb2.Payload(body=bytes(each.size)))


class AsyncJournal(_Journal):
    """The service for an asyncio server."""

    async def UnaryCall(
        self, request: Request, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> testing_pb2.SimpleResponse:
        """Echo the payload."""
        return self._answer(request)

    async def StreamingOutputCall(
        self, request: OutputRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[OutputResponse]:
        """Send responses of the requested sizes at the requested intervals."""
        for each in request.response_parameters:
            await asyncio.sleep(each.interval_us / 1e6)
            yield OutputResponse(payload=testing_pb2.Payload(body=bytes(each.size)))


def __getattr__(name: str) -> object:
    """Create a service when a server imports it."""
    match name:
        case "journal":
            return Journal()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
        case "async_journal":
            return AsyncJournal()  # type: ignore[abstract]  # the same
    raise AttributeError(name)
