"""Ours with grpcio's SingleThreadedUnaryStream, which a client may choose: one thread takes a stream's messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from grpc.experimental import ChannelOptions

from bench.calls import Calls
from bench.service import MAX_MESSAGE_BYTES, GrpcCalls
from bench.ways.samehost import OWN_CONNECTION, serve
from samehost_client import connect as connect_channel

__all__ = ["connect", "serve"]


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """A client with one channel."""
    options = [*OWN_CONNECTION, (ChannelOptions.SingleThreadedUnaryStream, 1)]
    with connect_channel(address, max_message_bytes=MAX_MESSAGE_BYTES, options=options) as channel:
        yield GrpcCalls(channel)
