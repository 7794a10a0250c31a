"""The address of a Unix domain socket, as PROTOCOL.md has it: `unix:/absolute/path`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from samehost_common.errors import AddressError

MAX_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest path of a socket in bytes: `sun_path` has 108 on Linux (unix(7)) and 104 on macOS, one of them a NUL."""

_SCHEME = "unix:"

# gRPC reads the address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a query, a fragment and
# the next of several addresses; libraries differ in whether they undo it, so such a path would not be one path.
_RESERVED = "%?#,"


@dataclass(frozen=True)
class SocketAddress:
    """Where a server listens: an absolute path of at most 107 bytes, written `unix:/absolute/path`.

    On macOS it has at most 103.
    """

    path: Path

    def __str__(self) -> str:
        """The address as every gRPC library takes it for a target: `unix:/absolute/path`."""
        return f"{_SCHEME}{self.path}"

    @classmethod
    def parse(cls, address: "AddressLike") -> "SocketAddress":
        """Reads `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path.

        Raises:
            AddressError: the address is empty, relative, abstract, has two slashes after `unix:` (a URI
                would take the next word for a host), is too long, or has a character that gRPC's
                libraries read differently.
        """
        if isinstance(address, SocketAddress):
            return address
        text = os.fspath(address)
        path = text.removeprefix(_SCHEME)
        if path.startswith("///"):
            path = path[2:]
        if fault := _fault(path):
            raise AddressError(f"bad socket address {text!r}: {fault}")
        return cls(Path(path))


AddressLike: TypeAlias = str | os.PathLike[str] | SocketAddress
"""What the libraries take for an address: `unix:/absolute/path`, the path alone, or one already read."""


def _fault(path: str) -> str | None:
    """What is wrong with a path, and the remedy."""
    size = len(os.fsencode(path))
    if not path:
        return "the path is empty; write unix:/absolute/path"
    if path.startswith("//"):
        return "two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path"
    if not path.startswith("/"):
        return "the path is not absolute; write unix:/absolute/path"
    if path.endswith(("/", "/.", "/..")):
        return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock"
    if reserved := next((c for c in path if c in _RESERVED or not c.isprintable()), None):
        return f"the path contains {reserved!r}, which gRPC libraries do not all read alike; choose a path without it"
    if size > MAX_PATH_BYTES:
        return f"the path has {size} bytes and a Unix socket's may have {MAX_PATH_BYTES}; choose a shorter one"
    return None
