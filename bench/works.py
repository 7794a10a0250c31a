"""Lists the works: kinds of call, sizes, and numbers of concurrent callers."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["unary", "server_stream", "client_stream", "bidirectional"]

KIB = 1024
MIB = 1024 * KIB

_STREAMED_BYTES = 32 * MIB
_MOST_STREAMED = 500
"""A stream has 32 MiB, so that its start does not matter, and at most 500 messages."""


@dataclass(frozen=True)
class Work:
    """One kind of call with messages of one size, repeated by a number of callers."""

    kind: Kind
    bytes: int
    callers: int = 1

    @property
    def messages(self) -> int:
        """The number of messages in one call."""
        return 1 if self.kind == "unary" else min(_MOST_STREAMED, _STREAMED_BYTES // self.bytes)

    def __str__(self) -> str:
        """Return the name in tables."""
        many = f" x {self.callers}" if self.callers > 1 else ""
        return f"{self.kind.replace('_', ' ')} {size(self.bytes)}{many}"


def size(count: int) -> str:
    """Format a number of bytes with its unit."""
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
"""The works of a quick run and of the tuning's switches."""

CHECKED = (Work("unary", 64, 4), Work("server_stream", 64), Work("client_stream", 64), Work("bidirectional", 64))
"""The works of a check: every kind of call."""
