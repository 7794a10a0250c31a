"""What both ends of a socket must agree on: its address, its file, and what programs say of it."""

from samehost_proto.address import MAX_PATH_BYTES, AddressLike, SocketAddress
from samehost_proto.errors import AddressError, NotASocketError, OptionError, SamehostError

__all__ = [
    "MAX_PATH_BYTES",
    "AddressError",
    "AddressLike",
    "NotASocketError",
    "OptionError",
    "SamehostError",
    "SocketAddress",
]
