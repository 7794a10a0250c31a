"""Reads the results that containers leave in a shared volume: CASE.code after the end of a case, and CASE.log.

If a case was tried twice, CASE.first has the output of the first try.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samehost_interop.cells import Cell
from samehost_interop.report import ReportedCell, Result

_PACE_SECONDS = 0.2
"""Seconds between checks for results. Containers that share only a volume cannot send a notification."""

_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class Left:
    """The result of a command: its exit code as text, and its output."""

    code: str
    log: str


def gather(
    cells: Sequence[Cell], file_of: Callable[[Cell], Path], timeout: float, fault_of: Callable[[Left], str]
) -> list[ReportedCell]:
    """Wait for the results of all cells, and report every cell.

    Args:
        cells: the cells to wait for.
        file_of: returns the file with the exit code of a cell. The log is in the same folder.
        timeout: the longest wait in seconds.
        fault_of: describes what is wrong with a result, or returns `""`.
    """
    deadline = time.monotonic() + timeout
    pace = threading.Event()
    while not all(file_of(cell).exists() for cell in cells) and time.monotonic() < deadline:
        pace.wait(_PACE_SECONDS)
    return [_reported(cell, file_of(cell), fault_of) for cell in cells]


def _reported(cell: Cell, file: Path, fault_of: Callable[[Left], str]) -> ReportedCell:
    fault, first = "the client did not reach this cell", file.with_suffix(".first")
    if file.exists():
        left = Left(file.read_text().strip(), _output(file.with_suffix(".log")))
        if fault := fault_of(left):
            fault = f"{fault}; output: {_tail(left.log)}"
    if not fault and first.exists():
        detail = f"the first try failed; output: {_tail(_output(first))}"
        return ReportedCell(cell.client, cell.server, cell.case, Result.FLAKY, detail)
    return ReportedCell(cell.client, cell.server, cell.case, Result.FAILED if fault else Result.PASSED, fault)


def _output(file: Path) -> str:
    return file.read_text(errors="replace").strip()


def _tail(output: str) -> str:
    return " ".join(output.split())[-_TAIL_CHARACTERS:]
