"""Plain grpcio as in its own examples, over a Unix socket or TCP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from contextlib import asynccontextmanager, contextmanager

import grpc

from bench.calls import AsyncCalls, Calls, Ready
from bench.service import MAX_MESSAGE_BYTES, AsyncGrpcCalls, AsyncService, GrpcCalls, Service
from samehost.interop import testing_pb2_grpc

_WORKERS = 10
"""As in grpc's examples. More callers wait for each other."""

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # as in samehost.py
]


def serve(address: str, ready: Ready) -> None:
    """Serve in threads."""
    server = grpc.server(futures.ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    testing_pb2_grpc.add_TestServiceServicer_to_server(Service(), server)  # type: ignore[abstract]  # see samehost.py
    port = server.add_insecure_port(_target(address))
    server.start()
    ready(_bound(address, port))
    server.wait_for_termination()


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with one channel."""
    with grpc.insecure_channel(_target(address), _OPTIONS) as channel:
        yield GrpcCalls(channel)


async def serve_async(address: str, ready: Ready) -> None:
    """Serve in an event loop."""
    server = grpc.aio.server(options=_OPTIONS)
    testing_pb2_grpc.add_TestServiceServicer_to_server(AsyncService(), server)  # type: ignore[abstract]  # the same
    port = server.add_insecure_port(_target(address))
    await server.start()
    ready(_bound(address, port))
    await asyncio.Event().wait()


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """Create a client with one channel."""
    async with grpc.aio.insecure_channel(_target(address), _OPTIONS) as channel:
        yield AsyncGrpcCalls(channel)


def _target(address: str) -> str:
    return f"unix:{address}" if address.startswith("/") else address


def _bound(address: str, port: int) -> str:
    return address if address.startswith("/") else f"{address.rpartition(':')[0]}:{port}"
