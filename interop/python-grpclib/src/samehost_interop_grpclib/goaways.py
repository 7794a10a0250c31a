"""Hides GOAWAY frames from h2, which closes a connection when it sees one."""

import struct

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame


class GoAways:
    """Remove GOAWAY frames from the incoming data of a connection, which may be split anywhere.

    A GOAWAY with an error stays in the data, because it does close the connection.
    """

    # The client's preface, the header of a frame (length, type, flags, stream), and GOAWAY: RFC 9113, sections 3.4, 4.1
    # and 6.8.
    _PREFACE_BYTES = 24
    _HEADER_BYTES = 9
    _TYPE_OFFSET = 3
    _LAST_STREAM_AND_ERROR = struct.Struct(">II")
    _SHORTEST_BYTES = _HEADER_BYTES + _LAST_STREAM_AND_ERROR.size

    def __init__(self, *, from_client: bool) -> None:
        self._to_pass = self._PREFACE_BYTES if from_client else 0
        self._held = b""

    def take_from(self, data: bytes) -> tuple[bytes, list[int]]:
        """Return the data without GOAWAY, and the last stream of each GOAWAY. Keep an incomplete frame for later."""
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
