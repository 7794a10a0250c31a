"""Reads the results that containers leave in a shared volume: CASE.code after the end of a case, and CASE.log."""

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
    fault = "the client did not reach this cell"
    if file.exists():
        left = Left(file.read_text().strip(), file.with_suffix(".log").read_text(errors="replace").strip())
        if fault := fault_of(left):
            fault = f"{fault}; output: {' '.join(left.log.split())[-_TAIL_CHARACTERS:]}"
    result = Result.FAILED if fault else Result.PASSED
    return ReportedCell(cell.client, cell.server, cell.case, result, fault)
