"""Reads known_failing.toml."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from samehost_interop.cells import Cell
from samehost_interop.errors import ConfigurationError
from samehost_interop.toml_table import Table, load_toml


@dataclass(frozen=True)
class KnownFailing:
    """Cells that cannot pass, as globs over `client->server:case`, with the reason and a link to its documentation.

    A flaky cell may pass, because a race decides. Any other listed cell that passes fails the matrix.
    """

    cells: tuple[str, ...]
    reason: str
    link: str
    flaky: bool = False

    def covers(self, cell: Cell) -> bool:
        """Return whether one of the globs matches the cell."""
        return any(fnmatchcase(str(cell), glob) for glob in self.cells)


def load_known_failing(file: Path, complete_matrix: Sequence[Cell]) -> list[KnownFailing]:
    """Read known_failing.toml.

    Raises:
        ConfigurationError: the file cannot be read, an entry is invalid, or one of its globs matches no cell of the
            complete matrix.
    """
    content = load_toml(file)
    entries = content.pop("known_failing", [])
    if content or not isinstance(entries, list):
        raise ConfigurationError(f"{file}: {[*content, 'known_failing'][0]}: start every entry with [[known_failing]]")
    return [_entry(file, number, entry, complete_matrix) for number, entry in enumerate(entries, start=1)]


def _entry(file: Path, number: int, content: object, complete_matrix: Sequence[Cell]) -> KnownFailing:
    table = Table(file, f"[[known_failing]] number {number}", content)
    known = KnownFailing(
        cells=table.words("cells"), reason=table.text("reason"), link=table.text("link"), flaky=table.flag("flaky")
    )
    table.end()
    if not known.cells:
        raise table.error("cells", "no glob; write at least one, or remove the entry")
    if not known.link.startswith("https://"):
        raise table.error(
            "link", f"{known.link!r} is not an https address; link the upstream issue or documented limit"
        )
    ids = [str(cell) for cell in complete_matrix]
    for glob in known.cells:
        if not any(fnmatchcase(cell_id, glob) for cell_id in ids):
            raise table.error("cells", f"{glob!r} matches no cell client->server:case; correct it or remove it")
    return known
