"""An engine in Rust for gRPC in Python over Unix domain sockets, with the classes of grpcio.

`Channel` is a grpc.Channel and `Server` is a grpc.Server. `samehost_native.aio` has the classes of grpc.aio. Generated
stubs, servicers and interceptors work with them unchanged.
"""

from samehost_native._channel import Channel
from samehost_native._engine import VERSION, ClientTls, ServerTls
from samehost_native._server import Server

__version__ = VERSION

__all__ = ["Channel", "ClientTls", "Server", "ServerTls", "__version__"]
