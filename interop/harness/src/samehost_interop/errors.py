"""What can go wrong in the harness, by whose fault it is."""


class HarnessError(Exception):
    """The base of every error that the harness raises."""


class ConfigurationError(HarnessError):
    """peers.toml, known_failing.toml or an option can't be used; one line with what, value and remedy."""


class PeerError(HarnessError):
    """A peer can't be built, started or stopped as PROTOCOL.md says; all of its cells fail."""


class MissingToolchainError(PeerError):
    """A command that a peer needs is not on PATH; its cells are skipped, or fail where all are required."""


class CaseError(HarnessError):
    """One case did not pass; the only error that known_failing.toml excuses."""


class NotAskedError(HarnessError):
    """A client can't be asked for a case, for a reason that nobody here can mend; the cell is skipped and says it."""
