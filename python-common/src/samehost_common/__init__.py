"""The code that the server and the client share: addresses, errors, options and tuning."""

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
