"""What is measured: kinds of call, sizes, and how many call at once."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["unary", "server_stream", "client_stream", "bidirectional"]

KIB = 1024
MIB = 1024 * KIB

_STREAMED_BYTES = 32 * MIB
_MOST_STREAMED = 500
"""A stream has as many messages as make 32 MiB, so that beginning it does not count, and at most 500."""


@dataclass(frozen=True)
class Work:
    """One kind of call with messages of one size, made again and again by a number of callers."""

    kind: Kind
    bytes: int
    callers: int = 1

    @property
    def messages(self) -> int:
        """How many messages one call carries."""
        return 1 if self.kind == "unary" else min(_MOST_STREAMED, _STREAMED_BYTES // self.bytes)

    def __str__(self) -> str:
        """As tables name it."""
        many = f" x {self.callers}" if self.callers > 1 else ""
        return f"{self.kind.replace('_', ' ')} {size(self.bytes)}{many}"


def size(count: int) -> str:
    """A number of bytes as people write it."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} B"


UNARY = tuple(Work("unary", count) for count in (0, 64, 4 * KIB, 64 * KIB, MIB, 4 * MIB))
CROWDS = tuple(Work("unary", 64, callers) for callers in (4, 16, 64))
STREAMS = tuple(
    Work(kind, count) for kind in ("server_stream", "client_stream", "bidirectional") for count in (64, MIB)
)
ALL = (*UNARY, *CROWDS, *STREAMS)

MAIN = (Work("unary", 64), Work("unary", MIB), Work("server_stream", 64), Work("server_stream", MIB))
"""What a quick run measures, and what each switch of the tuning is judged by."""

CHECKED = (Work("unary", 64, 4), Work("server_stream", 64), Work("client_stream", 64), Work("bidirectional", 64))
"""What each contender must answer rightly: every kind of call."""
