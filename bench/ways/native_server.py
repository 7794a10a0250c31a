"""Plain grpcio's client, and our server with the engine of samehost-native."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from bench.calls import Calls
from bench.service import MAX_MESSAGE_BYTES, GrpcCalls
from bench.ways.samehost_native import serve

__all__ = ["connect", "serve"]

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # as in samehost.py
]


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """A client with one channel."""
    with grpc.insecure_channel(f"unix:{address}", _OPTIONS) as channel:
        yield GrpcCalls(channel)
