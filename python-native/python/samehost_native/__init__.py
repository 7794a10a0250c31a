"""An engine in Rust for gRPC in Python over Unix domain sockets, behind grpc's own classes.

`Channel` is a grpc.Channel and `Server` a grpc.Server; `samehost_native.aio` has those of grpc.aio. Generated stubs,
servicers and interceptors work with them as they are.
"""

from samehost_native._channel import Channel
from samehost_native._engine import VERSION
from samehost_native._server import Server

__version__ = VERSION

__all__ = ["Channel", "Server", "__version__"]
