"""The address of a Unix domain socket, as PROTOCOL.md defines it: `unix:/absolute/path`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from samehost_common.errors import AddressError

MAX_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The maximum length of a socket's path in bytes. `sun_path` has 108 bytes on Linux (unix(7)) and 104 on macOS, and
one of them is a NUL."""

_SCHEME = "unix:"

# gRPC parses the address as a URI (grpc/grpc doc/naming.md). In a URI, these characters start an escape, a query, a
# fragment and the next of several addresses. Not every library decodes them, so two libraries could use two paths.
_RESERVED = "%?#,"


@dataclass(frozen=True)
class SocketAddress:
    """The address of a server: an absolute path of at most 107 bytes, written `unix:/absolute/path`.

    On macOS, a path has at most 103 bytes.
    """

    path: Path

    def __str__(self) -> str:
        """Returns the address as a target that every gRPC library accepts: `unix:/absolute/path`."""
        return f"{_SCHEME}{self.path}"

    @classmethod
    def parse(cls, address: "AddressLike") -> "SocketAddress":
        """Parses `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path.

        Raises:
            AddressError: the address is empty, relative, abstract or too long, it has two slashes after `unix:`
                (a host would follow them in a URI), or it has a character that gRPC libraries read differently.
        """
        if isinstance(address, SocketAddress):
            return address
        text = os.fspath(address)
        path = text.removeprefix(_SCHEME)
        if path.startswith("///"):
            path = path[2:]
        if fault := _fault(path):
            raise AddressError(f"invalid socket address {text!r}: {fault}")
        return cls(Path(path))


AddressLike: TypeAlias = str | os.PathLike[str] | SocketAddress
"""An address that the libraries accept: `unix:/absolute/path`, the path alone, or a SocketAddress."""


def _fault(path: str) -> str | None:
    """Returns why a path is invalid, and the remedy; None if it is valid."""
    size = len(os.fsencode(path))
    if not path:
        return "the path is empty; use unix:/absolute/path"
    if path.startswith("//"):
        return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path"
    if not path.startswith("/"):
        return "the path is not absolute; use unix:/absolute/path"
    if path.endswith(("/", "/.", "/..")):
        return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock"
    if reserved := next((c for c in path if c in _RESERVED or not c.isprintable()), None):
        return f"gRPC libraries read {reserved!r} in a path differently; use a path without it"
    if size > MAX_PATH_BYTES:
        return f"the path has {size} bytes, and a socket can have {MAX_PATH_BYTES}; use a shorter path"
    return None
