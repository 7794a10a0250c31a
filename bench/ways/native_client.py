"""Our client with the engine of samehost-native, and plain grpcio's server."""

from bench.ways.grpcio import serve
from bench.ways.samehost_native import connect

__all__ = ["connect", "serve"]
