"""Ours with samehost_proto.tuning.stream_options: the thread that takes a stream's messages reads them itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.calls import Calls
from bench.service import MAX_MESSAGE_BYTES, GrpcCalls
from bench.ways.samehost import OWN_CONNECTION, serve
from samehost_client import connect as connect_channel
from samehost_proto.tuning import stream_options

__all__ = ["connect", "serve"]


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """A client with one channel."""
    options = [*OWN_CONNECTION, *stream_options()]
    with connect_channel(address, max_message_bytes=MAX_MESSAGE_BYTES, options=options) as channel:
        yield GrpcCalls(channel)
