"""The same for asyncio: `Channel` is a grpc.aio.Channel and `Server` a grpc.aio.Server.

Both run in the event loop that starts them, and in no other thread.
"""

from samehost_native._aio_channel import Channel
from samehost_native._aio_server import Server

__all__ = ["Channel", "Server"]
