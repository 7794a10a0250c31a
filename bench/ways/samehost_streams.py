"""samehost with samehost_common.tuning.stream_options: the thread that iterates over a stream reads it itself."""

from functools import partial

from bench.ways import samehost
from bench.ways.samehost import serve
from samehost_common.tuning import stream_options

__all__ = ["connect", "serve"]

connect = partial(samehost.connect, options=stream_options())
