"""The errors that the server and the client share; each library has others in its own module `errors`."""


class SamehostError(Exception):
    """The base class of every error of the samehost libraries. Its message is one line with the value and a remedy."""


class AddressError(SamehostError, ValueError):
    """The address is not `unix:/absolute/path`, or no socket can have its path."""


class NotASocketError(SamehostError):
    """The path of the address names a file that is not a socket. The file is not changed."""


class OptionError(SamehostError, ValueError):
    """An option has the wrong type or is out of range."""
