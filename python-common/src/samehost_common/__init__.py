"""What both ends of a socket must agree on: its address, its file, and what programs say of it."""

from samehost_common.address import MAX_PATH_BYTES, AddressLike, SocketAddress
from samehost_common.errors import AddressError, NotASocketError, OptionError, SamehostError

__all__ = [
    "MAX_PATH_BYTES",
    "AddressError",
    "AddressLike",
    "NotASocketError",
    "OptionError",
    "SamehostError",
    "SocketAddress",
]
