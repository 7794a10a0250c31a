"""The engine for asyncio: `Channel` is a grpc.aio.Channel and `Server` is a grpc.aio.Server.

Both run only in the event loop that starts them and use no other thread.
"""

from samehost_native._aio_channel import Channel
from samehost_native._aio_server import Server

__all__ = ["Channel", "Server"]
