"""Defines the errors of the harness, by their origin."""


class HarnessError(Exception):
    """The base of every error that the harness raises."""


class ConfigurationError(HarnessError):
    """A configuration file or an option is invalid. The message is one line with the value and the remedy."""


class PeerError(HarnessError):
    """A peer cannot be built, started or stopped as PROTOCOL.md requires. All of its cells fail."""


class MissingToolchainError(PeerError):
    """A command that a peer needs is not on PATH. Its cells are skipped, or fail if SAMEHOST_REQUIRE=all."""


class CaseError(HarnessError):
    """One case did not pass. known_failing.toml excuses only this error."""


class NotAskedError(HarnessError):
    """A client cannot run a case, for a reason outside this repository. The cell is skipped with this reason."""
