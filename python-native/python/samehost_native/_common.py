"""Definitions that channels and servers share."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

if TYPE_CHECKING:
    Future = grpc.Future[Any]
    UnaryUnaryMultiCallable = grpc.UnaryUnaryMultiCallable[Any, Any]
    UnaryStreamMultiCallable = grpc.UnaryStreamMultiCallable[Any, Any]
    StreamUnaryMultiCallable = grpc.StreamUnaryMultiCallable[Any, Any]
    StreamStreamMultiCallable = grpc.StreamStreamMultiCallable[Any, Any]
else:  # these classes are generic only in the type stubs
    Future = grpc.Future
    UnaryUnaryMultiCallable = grpc.UnaryUnaryMultiCallable
    UnaryStreamMultiCallable = grpc.UnaryStreamMultiCallable
    StreamUnaryMultiCallable = grpc.StreamUnaryMultiCallable
    StreamStreamMultiCallable = grpc.StreamStreamMultiCallable

LOG = logging.getLogger("samehost_native")

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message that gRPC receives by default."""

HANDSHAKE_SECONDS = 120.0
"""How long a client may take for its handshakes, TLS and HTTP/2, by default (grpc.server_handshake_timeout_ms)."""

Keepalive = tuple[float, float, bool]
"""When to send a ping and how long to wait for its answer, in seconds, and whether to ping without calls."""

CODES = {code.value[0]: code for code in grpc.StatusCode}

_ENCODINGS = {
    grpc.Compression.NoCompression: "identity",
    grpc.Compression.Deflate: "deflate",
    grpc.Compression.Gzip: "gzip",
}


Metadata = Iterable[tuple[str, str | bytes]]
Pairs = list[tuple[str, str | bytes]]

Outcome = tuple[int, str, bytes | None, Pairs, Pairs, int]
"""The result of a call with one response: code, details, response, initial metadata, trailing metadata, and whether
a server has seen the call (SEEN, UNSEEN or NO_SERVER)."""

SEEN, UNSEEN, NO_SERVER = range(3)


class Metadatum(NamedTuple):
    """One pair of metadata, as grpcio's classes return it."""

    key: str
    value: Any


def encoding_name(compression: grpc.Compression | None) -> str:
    """Returns the name of a compression on the wire."""
    return "identity" if compression is None else _ENCODINGS[grpc.Compression(compression)]


def metadata_of(pairs: Iterable[tuple[str, Any]]) -> tuple[Metadatum, ...]:
    """Returns metadata as grpcio's synchronous classes return them."""
    return tuple(Metadatum(key, value) for key, value in pairs)


def serialized(message: Any, serializer: Any) -> bytes:
    """Returns a message as bytes.

    Raises:
        TypeError: the result is not bytes.
    """
    data = serializer(message) if serializer else message
    if not isinstance(data, bytes):
        raise TypeError(f"invalid message of type {type(data).__name__}: a serializer has to return bytes")
    return data
