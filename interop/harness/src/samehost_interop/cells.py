"""Defines the cells of the matrix: a client, a server and a case."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from samehost_interop.errors import ConfigurationError


@dataclass(frozen=True)
class Cell:
    """One client, one server and one case. Its text is `client->server:case`."""

    client: str
    server: str
    case: str

    def __str__(self) -> str:
        """Return the text that test ids, globs and reports use."""
        return f"{self.client}->{self.server}:{self.case}"


def all_cells(clients: Iterable[str], servers: Sequence[str], cases: Sequence[str]) -> list[Cell]:
    """Return every combination of client, server and case."""
    return [Cell(client, server, case) for client in clients for server in servers for case in cases]


def select(option: str, patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that match any of the patterns, in their own order. Without a pattern, return all names.

    Args:
        option: the option with the patterns, for the error.
        patterns: globs; one text may have several, separated by commas.
        names: the names to select from.

    Raises:
        ConfigurationError: a glob matches no name.
    """
    globs = [glob.strip() for pattern in patterns for glob in pattern.split(",")]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise ConfigurationError(f"{option} {glob!r} matches nothing; choose from {', '.join(names)}")
    return [name for name in names if not globs or any(fnmatchcase(name, glob) for glob in globs)]
