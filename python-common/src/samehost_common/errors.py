"""The errors that both ends share; the others are in samehost_server.errors and samehost_client.errors."""


class SamehostError(Exception):
    """The base of every error that the samehost libraries raise: one line, with what, value and remedy."""


class AddressError(SamehostError, ValueError):
    """An address that is not `unix:/absolute/path`, or whose path no socket can have."""


class NotASocketError(SamehostError):
    """Something other than a socket is at the path of the address; it is left alone."""


class OptionError(SamehostError, ValueError):
    """An option that is of the wrong type or out of range."""
