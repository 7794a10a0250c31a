"""Writes the report of a suite: `<suite>.json` and `<suite>.html`, in the same format for all suites."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import jinja2

MOST_FLAKY = 3
"""How many cells of a run may pass only on the second try. A busy machine explains one in hundreds, but not more."""


class Result(StrEnum):
    """The result of a cell."""

    PASSED = "passed"
    FAILED = "failed"
    FLAKY = "flaky"
    """The first try failed. The second try, which runs alone, passed."""
    KNOWN_FAILING = "known_failing"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Implementation:
    """One table of peers.toml, and the name and version from its ready line."""

    name: str
    language: str
    library: str
    implementation: str = ""
    version: str = ""


@dataclass(frozen=True)
class ReportedCell:
    """One cell and its result.

    A suite without pairs leaves `client` or `server` empty. `ms` is None if the time was not measured. `detail` is that
    of the first try if the cell is flaky. `reason` and `link` belong to a known failure.
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
        """Return the cell for JSON, without an empty `reason` or `link`."""
        return {key: value for key, value in asdict(self).items() if key not in {"reason", "link"} or value}


@dataclass(frozen=True)
class Pair:
    """The cells of one client with one server."""

    client: str
    server: str
    cells: Sequence[ReportedCell]

    def count(self, result: str) -> int:
        """Return how many cells have this result."""
        return sum(cell.result == result for cell in self.cells)

    @property
    def result(self) -> Result:
        """The worst result of the cells, in the order failed, flaky, known failing, skipped, passed."""
        found = {cell.result for cell in self.cells}
        worst_first = (Result.FAILED, Result.FLAKY, Result.KNOWN_FAILING, Result.SKIPPED)
        return next((result for result in worst_first if result in found), Result.PASSED)


@dataclass(frozen=True)
class SuiteReport:
    """All cells of a suite, in the order of the report."""

    suite: str
    implementations: Sequence[Implementation]
    cells: Sequence[ReportedCell] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """Return the number of cells, in total and for each result."""
        counts = Counter(cell.result for cell in self.cells)
        return {"cells": len(self.cells)} | {result.value: counts[result] for result in Result}

    def is_too_flaky(self) -> bool:
        """Tell whether more cells are flaky than a run may have."""
        return self.summary()[Result.FLAKY.value] > MOST_FLAKY

    def names(self, side: str) -> list[str]:
        """Return the clients or the servers, in the order of the implementations; unknown names come last."""
        used = {getattr(cell, side) for cell in self.cells}
        known = [one.name for one in self.implementations if one.name in used]
        return known + sorted(used.difference(known))

    def pairs(self) -> dict[tuple[str, str], Pair]:
        """Return the cells by client and server."""
        cells: dict[tuple[str, str], list[ReportedCell]] = {}
        for cell in self.cells:
            cells.setdefault((cell.client, cell.server), []).append(cell)
        return {(client, server): Pair(client, server, found) for (client, server), found in cells.items()}

    def exceptions(self) -> dict[tuple[str, str], list[ReportedCell]]:
        """Return the known failures by reason and link."""
        found: dict[tuple[str, str], list[ReportedCell]] = {}
        for cell in self.cells:
            if cell.result == Result.KNOWN_FAILING:
                found.setdefault((cell.reason, cell.link), []).append(cell)
        return found

    @classmethod
    def read(cls, file: Path) -> "SuiteReport":
        """Read a report that `write` has written."""
        content = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            file.stem,
            [Implementation(**implementation) for implementation in content["implementations"]],
            [ReportedCell(**{**cell, "result": Result(cell["result"])}) for cell in content["cells"]],
        )

    def beside(self, other: "SuiteReport") -> "SuiteReport":
        """Combine two reports under the name of this one. The clients of the other one follow in rows of their own."""
        implementations = {one.name: one for one in (*other.implementations, *self.implementations)}
        order = dict.fromkeys(one.name for one in (*self.implementations, *other.implementations))
        return SuiteReport(self.suite, [implementations[name] for name in order], [*self.cells, *other.cells])

    def write(self, folder: Path) -> None:
        """Write both files, and create the folder if it does not exist."""
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
        """Write only the page."""
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
