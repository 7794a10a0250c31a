"""What a suite leaves behind: `<suite>.json` and `<suite>.html`, of one shape for all suites."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import jinja2

MOST_FLAKY = 3
"""How many cells of a run may pass only at the second try: one in hundreds is a machine's bad moment, more are not."""


class Result(StrEnum):
    """How a cell ended."""

    PASSED = "passed"
    FAILED = "failed"
    FLAKY = "flaky"
    """It failed, and passed when it was tried once more, alone."""
    KNOWN_FAILING = "known_failing"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Implementation:
    """One row of peers.toml and, once it has been ready, what it says of itself."""

    name: str
    language: str
    library: str
    implementation: str = ""
    version: str = ""


@dataclass(frozen=True)
class ReportedCell:
    """One cell and how it ended.

    A suite without pairs leaves `client` or `server` empty. `ms` is None where nothing was measured; `detail` is
    that of the first try where the cell is flaky; `reason` and `link` are those of a known failure.
    """

    client: str
    server: str
    case: str
    result: Result
    detail: str = ""
    ms: float | None = None
    reason: str = ""
    link: str = ""

    def as_json(self) -> dict[str, Any]:
        """The cell with `reason` and `link` only where it has them."""
        return {key: value for key, value in asdict(self).items() if key not in {"reason", "link"} or value}


@dataclass(frozen=True)
class Pair:
    """The cells of one client with one server."""

    client: str
    server: str
    cells: Sequence[ReportedCell]

    def count(self, result: str) -> int:
        """How many cells ended so."""
        return sum(cell.result == result for cell in self.cells)

    @property
    def result(self) -> Result:
        """The worst of the cells: failed, flaky, known failing, skipped, passed."""
        found = {cell.result for cell in self.cells}
        worst_first = (Result.FAILED, Result.FLAKY, Result.KNOWN_FAILING, Result.SKIPPED)
        return next((result for result in worst_first if result in found), Result.PASSED)


@dataclass(frozen=True)
class SuiteReport:
    """All cells of a suite, in the order in which the report shows them."""

    suite: str
    implementations: Sequence[Implementation]
    cells: Sequence[ReportedCell] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """The number of cells, and of those that ended each way."""
        counts = Counter(cell.result for cell in self.cells)
        return {"cells": len(self.cells)} | {result.value: counts[result] for result in Result}

    def names(self, side: str) -> list[str]:
        """The clients, or the servers, in the order of the implementations; others after them."""
        used = {getattr(cell, side) for cell in self.cells}
        known = [one.name for one in self.implementations if one.name in used]
        return known + sorted(used.difference(known))

    def pairs(self) -> dict[tuple[str, str], Pair]:
        """The cells by client and server."""
        cells: dict[tuple[str, str], list[ReportedCell]] = {}
        for cell in self.cells:
            cells.setdefault((cell.client, cell.server), []).append(cell)
        return {(client, server): Pair(client, server, found) for (client, server), found in cells.items()}

    def exceptions(self) -> dict[tuple[str, str], list[ReportedCell]]:
        """The known failures by reason and link."""
        found: dict[tuple[str, str], list[ReportedCell]] = {}
        for cell in self.cells:
            if cell.result == Result.KNOWN_FAILING:
                found.setdefault((cell.reason, cell.link), []).append(cell)
        return found

    @classmethod
    def read(cls, file: Path) -> "SuiteReport":
        """Reads what `write` has written."""
        content = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            file.stem,
            [Implementation(**implementation) for implementation in content["implementations"]],
            [ReportedCell(**{**cell, "result": Result(cell["result"])}) for cell in content["cells"]],
        )

    def beside(self, other: "SuiteReport") -> "SuiteReport":
        """Both as one report, under this one's name: the other's clients follow as rows of their own."""
        implementations = {one.name: one for one in (*other.implementations, *self.implementations)}
        order = dict.fromkeys(one.name for one in (*self.implementations, *other.implementations))
        return SuiteReport(self.suite, [implementations[name] for name in order], [*self.cells, *other.cells])

    def write(self, folder: Path) -> None:
        """Writes both files, and the folder if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "summary": self.summary(),
            "implementations": [asdict(implementation) for implementation in self.implementations],
            "cells": [cell.as_json() for cell in self.cells],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{self.suite}.json").write_text(text, encoding="utf-8")
        self.write_page(folder)

    def write_page(self, folder: Path) -> None:
        """Writes the page alone."""
        (folder / f"{self.suite}.html").write_text(self._html(), encoding="utf-8")

    def _html(self) -> str:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("samehost_interop"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        cells = [cell.as_json() for cell in self.cells]
        return environment.get_template("report.html").render(
            report=self, summary=self.summary(), pairs=self.pairs(), cells=cells
        )
