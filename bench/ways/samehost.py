"""samehost_server and samehost_client with their defaults, except for the age of connections."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import samehost_client
import samehost_server
from bench.calls import AsyncCalls, Calls, Ready
from bench.service import MAX_MESSAGE_BYTES, AsyncGrpcCalls, AsyncService, GrpcCalls, Service

_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""Gives each channel its own connection. Otherwise a thousand idle channels to one address would share one."""

_SERVER_OPTIONS: dict[str, Any] = {
    "max_message_bytes": MAX_MESSAGE_BYTES,
    # With the default of 1 s, every turn would start with a new connection after the pause. A program that is not
    # paused reconnects once in a thousand calls.
    "max_connection_age": 3600,
}


def serve(address: str, ready: Ready) -> None:
    """Serve in threads."""
    service = Service()  # type: ignore[abstract]  # the other methods are not called
    with samehost_server.Server(address, [service], **_SERVER_OPTIONS) as server:
        ready(address)
        server.wait()


@contextmanager
def connect(address: str, options: Sequence[tuple[str, int]] = ()) -> Iterator[Calls]:
    """Create a client with one channel."""
    options = [*_OWN_CONNECTION, *options]
    with samehost_client.connect(address, max_message_bytes=MAX_MESSAGE_BYTES, options=options) as channel:
        yield GrpcCalls(channel)


async def serve_async(address: str, ready: Ready) -> None:
    """Serve in an event loop."""
    service = AsyncService()  # type: ignore[abstract]  # the same
    async with samehost_server.aio.Server(address, [service], **_SERVER_OPTIONS):
        ready(address)
        await asyncio.Event().wait()


@asynccontextmanager
async def connect_async(address: str) -> AsyncIterator[AsyncCalls]:
    """Create a client with one channel."""
    async with await samehost_client.aio.connect(
        address, max_message_bytes=MAX_MESSAGE_BYTES, options=_OWN_CONNECTION
    ) as channel:
        yield AsyncGrpcCalls(channel)
