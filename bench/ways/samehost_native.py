"""Ours, with the engine of samehost-native on both ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import samehost_client
import samehost_server
from bench.calls import AsyncCalls, Calls, Ready
from bench.service import MAX_MESSAGE_BYTES, AsyncGrpcCalls, AsyncService, GrpcCalls, Service


def serve(address: str, ready: Ready) -> None:
    """Serves in threads."""
    service = Service()  # type: ignore[abstract]  # what it lacks is not called
    with samehost_server.Server(address, [service], max_message_bytes=MAX_MESSAGE_BYTES, engine="native") as server:
        ready(address)
        server.wait()


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """A client with one channel."""
    with samehost_client.connect(address, max_message_bytes=MAX_MESSAGE_BYTES, engine="native") as channel:
        yield GrpcCalls(channel)


async def serve_async(address: str, ready: Ready) -> None:
    """Serves in an event loop."""
    service = AsyncService()  # type: ignore[abstract]  # the same
    async with samehost_server.aio.Server(address, [service], max_message_bytes=MAX_MESSAGE_BYTES, engine="native"):
        ready(address)
        await asyncio.Event().wait()


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """A client with one channel."""
    async with samehost_client.aio.connect(address, max_message_bytes=MAX_MESSAGE_BYTES, engine="native") as channel:
        yield AsyncGrpcCalls(channel)
