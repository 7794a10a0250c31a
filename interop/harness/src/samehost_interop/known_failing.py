"""The exceptions of known_failing.toml."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from samehost_interop.cells import Cell
from samehost_interop.errors import ConfigurationError
from samehost_interop.toml_table import Table, load_toml


@dataclass(frozen=True)
class KnownFailing:
    """Cells that can't pass, as globs over `client->server:case`, with the reason and where it is documented.

    A flaky one passes at times, as a race decides; any other that passes fails the matrix.
    """

    cells: tuple[str, ...]
    reason: str
    link: str
    flaky: bool = False

    def covers(self, cell: Cell) -> bool:
        """Whether one of the globs matches the cell."""
        return any(fnmatchcase(str(cell), glob) for glob in self.cells)


def load_known_failing(file: Path, complete_matrix: Sequence[Cell]) -> list[KnownFailing]:
    """Reads known_failing.toml.

    Raises:
        ConfigurationError: the file can't be read, an entry lacks something, or one of its globs matches no
            cell of the complete matrix.
    """
    content = load_toml(file)
    entries = content.pop("known_failing", [])
    if content or not isinstance(entries, list):
        raise ConfigurationError(f"{file}: {[*content, 'known_failing'][0]}: begin every entry with [[known_failing]]")
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
        raise table.error("link", f"{known.link!r} is no https address; link the upstream issue or documented limit")
    ids = [str(cell) for cell in complete_matrix]
    for glob in known.cells:
        if not any(fnmatchcase(cell_id, glob) for cell_id in ids):
            raise table.error("cells", f"{glob!r} matches no cell client->server:case; correct it or remove it")
    return known
