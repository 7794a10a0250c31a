"""GOAWAY, kept from h2, which can't go on after one."""

import struct

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame


class GoAways:
    """Takes GOAWAY out of what comes over a connection, in pieces of any size.

    One that names an error stays: it does end everything, as h2 has it.
    """

    # RFC 9113, 3.4, 4.1 and 6.8: the client's preface; a frame's header, of length, type, flags and stream; GOAWAY.
    _PREFACE_BYTES = 24
    _HEADER_BYTES = 9
    _TYPE_OFFSET = 3
    _LAST_STREAM_AND_ERROR = struct.Struct(">II")
    _SHORTEST_BYTES = _HEADER_BYTES + _LAST_STREAM_AND_ERROR.size

    def __init__(self, *, from_client: bool) -> None:
        self._to_pass = self._PREFACE_BYTES if from_client else 0
        self._held = b""

    def take_from(self, data: bytes) -> tuple[bytes, list[int]]:
        """Returns the rest, and the last stream that each GOAWAY named; holds a frame back until it can be told."""
        data = self._held + data
        kept, last_streams, at = [], [], 0
        while True:
            kept.append(data[at : at + self._to_pass])
            at += len(kept[-1])
            self._to_pass -= len(kept[-1])
            if len(data) - at < self._HEADER_BYTES:
                break
            size = self._HEADER_BYTES + int.from_bytes(data[at : at + 3])
            if data[at + self._TYPE_OFFSET] != GoAwayFrame.type or size < self._SHORTEST_BYTES:
                self._to_pass = size
                continue
            if len(data) - at < size:
                break
            last_stream, error = self._LAST_STREAM_AND_ERROR.unpack_from(data, at + self._HEADER_BYTES)
            if error == ErrorCodes.NO_ERROR:
                last_streams.append(last_stream)
                at += size
            else:
                self._to_pass = size
        self._held = data[at:]
        return b"".join(kept), last_streams
