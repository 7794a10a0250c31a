"""Tests of compressed messages that are invalid."""

import gzip

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost_interop_grpclib.compression import MAX_MESSAGE_BYTES, decompress

TOO_LONG = gzip.compress(bytes(MAX_MESSAGE_BYTES + 1), mtime=0)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"not gzip", Status.INTERNAL),
        (gzip.compress(b"cut", mtime=0)[:-1], Status.INTERNAL),
        (b"\x78\x9c\x03", Status.INTERNAL),
        (TOO_LONG, Status.RESOURCE_EXHAUSTED),
    ],
)
def test_invalid_compressed_data_is_a_status(data: bytes, status: Status) -> None:
    with pytest.raises(GRPCError) as caught:
        decompress(data)
    assert caught.value.status is status


def test_empty_data_is_an_empty_message_as_dotnet_sends_it() -> None:
    assert decompress(b"") == b""
