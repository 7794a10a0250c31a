"""A service that writes down what it did, so that a call that took effect twice, or not at all, is found out.

Served by `samehost-server --services faults.service:journal`, or `:async_journal` with `--aio`.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from samehost.interop import testing_pb2, testing_pb2_grpc

JOURNAL = "SAMEHOST_FAULTS_JOURNAL"
"""The variable that names the journal: a file to which every server of a run appends the ids of its unary calls."""

ID_BYTES = 16

Request = testing_pb2.SimpleRequest
OutputRequest = testing_pb2.StreamingOutputCallRequest
OutputResponse = testing_pb2.StreamingOutputCallResponse


class _Journal(testing_pb2_grpc.TestServiceServicer):
    """What both kinds share: a line for each call, written whole, as O_APPEND has it."""

    def __init__(self) -> None:
        self._descriptor = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _answer(self, request: Request) -> testing_pb2.SimpleResponse:
        os.write(self._descriptor, request.payload.body[:ID_BYTES].hex().encode() + b"\n")
        return testing_pb2.SimpleResponse(payload=request.payload)


class Journal(_Journal):
    """Echoes what it is sent, and streams what it is asked for, on a synchronous server."""

    def UnaryCall(self, request: Request, _context: grpc.ServicerContext) -> testing_pb2.SimpleResponse:
        """Echoes the payload."""
        return self._answer(request)

    def StreamingOutputCall(self, request: OutputRequest, context: grpc.ServicerContext) -> Iterator[OutputResponse]:
        """Sends responses of the sizes and at the intervals that are asked for."""
        over = threading.Event()
        context.add_callback(over.set)
        for each in request.response_parameters:
            if over.wait(each.interval_us / 1e6):
                return
            yield OutputResponse(payload=testing_pb2.Payload(body=bytes(each.size)))


class AsyncJournal(_Journal):
    """The same on an asyncio server."""

    async def UnaryCall(
        self, request: Request, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> testing_pb2.SimpleResponse:
        """Echoes the payload."""
        return self._answer(request)

    async def StreamingOutputCall(
        self, request: OutputRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[OutputResponse]:
        """Sends responses of the sizes and at the intervals that are asked for."""
        for each in request.response_parameters:
            await asyncio.sleep(each.interval_us / 1e6)
            yield OutputResponse(payload=testing_pb2.Payload(body=bytes(each.size)))


def __getattr__(name: str) -> object:
    """The servicers, made when a server asks for them."""
    match name:
        case "journal":
            return Journal()  # type: ignore[abstract]  # what it lacks is answered with UNIMPLEMENTED
        case "async_journal":
            return AsyncJournal()  # type: ignore[abstract]  # the same
    raise AttributeError(name)
