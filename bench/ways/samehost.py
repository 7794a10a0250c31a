"""Ours: samehost_server and samehost_client, as they are by default, but for the age of connections."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import samehost_client
import samehost_server
from bench.calls import AsyncCalls, Calls, Ready
from bench.service import MAX_MESSAGE_BYTES, AsyncGrpcCalls, AsyncService, GrpcCalls, Service

_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""Otherwise all channels of a process to one address share a connection, and a thousand idle ones would be one."""

_SERVER_OPTIONS: dict[str, Any] = {
    "max_message_bytes": MAX_MESSAGE_BYTES,
    # Every turn would else begin with a new connection, as the last one's second is over, where a program that is not
    # paused has one in a thousand calls.
    "max_connection_age": 3600,
}


def serve(address: str, ready: Ready) -> None:
    """Serves in threads."""
    service = Service()  # type: ignore[abstract]  # what it lacks is not called
    with samehost_server.Server(address, [service], **_SERVER_OPTIONS) as server:
        ready(address)
        server.wait()


@contextmanager
def connect(address: str, options: Sequence[tuple[str, int]] = ()) -> Iterator[Calls]:
    """A client with one channel."""
    options = [*_OWN_CONNECTION, *options]
    with samehost_client.connect(address, max_message_bytes=MAX_MESSAGE_BYTES, options=options) as channel:
        yield GrpcCalls(channel)


async def serve_async(address: str, ready: Ready) -> None:
    """Serves in an event loop."""
    service = AsyncService()  # type: ignore[abstract]  # the same
    async with samehost_server.aio.Server(address, [service], **_SERVER_OPTIONS):
        ready(address)
        await asyncio.Event().wait()


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """A client with one channel."""
    async with await samehost_client.aio.connect(
        address, max_message_bytes=MAX_MESSAGE_BYTES, options=_OWN_CONNECTION
    ) as channel:
        yield AsyncGrpcCalls(channel)
