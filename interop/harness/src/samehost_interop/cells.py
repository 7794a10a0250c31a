"""The cells of the matrix: who calls whom with which case."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from samehost_interop.errors import ConfigurationError


@dataclass(frozen=True)
class Cell:
    """One client, one server, one case; its text is `client->server:case`."""

    client: str
    server: str
    case: str

    def __str__(self) -> str:
        """The cell as test ids, globs and reports have it."""
        return f"{self.client}->{self.server}:{self.case}"


def all_cells(clients: Iterable[str], servers: Sequence[str], cases: Sequence[str]) -> list[Cell]:
    """Every client with every server and every case."""
    return [Cell(client, server, case) for client in clients for server in servers for case in cases]


def select(option: str, patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that match any of the patterns, in their own order; all of them where there is no pattern.

    Args:
        option: where the patterns come from, for the error.
        patterns: globs, several of them in one text with commas between.
        names: what can be selected.

    Raises:
        ConfigurationError: a glob matches no name.
    """
    globs = [glob.strip() for pattern in patterns for glob in pattern.split(",")]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise ConfigurationError(f"{option} {glob!r} matches nothing; choose from {', '.join(names)}")
    return [name for name in names if not globs or any(fnmatchcase(name, glob) for glob in globs)]
