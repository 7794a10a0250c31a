"""Results that containers leave in a volume, as they share nothing else: CASE.code when it is done, and CASE.log."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samehost_interop.cells import Cell
from samehost_interop.report import ReportedCell, Result

_PACE_SECONDS = 0.2
"""How often to look: containers that share no more than a volume can't say that they are done."""

_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class Left:
    """What a command has left: its exit code as text, and what it said."""

    code: str
    log: str


def gather(
    cells: Sequence[Cell], file_of: Callable[[Cell], Path], timeout: float, fault_of: Callable[[Left], str]
) -> list[ReportedCell]:
    """Waits for the results of all cells, no longer than the timeout in seconds, and reports every cell.

    Args:
        cells: what is waited for.
        file_of: where the exit code of a cell is left; its log is beside it.
        timeout: seconds.
        fault_of: what is wrong with a result, `""` if nothing is.
    """
    deadline = time.monotonic() + timeout
    pace = threading.Event()
    while not all(file_of(cell).exists() for cell in cells) and time.monotonic() < deadline:
        pace.wait(_PACE_SECONDS)
    return [_reported(cell, file_of(cell), fault_of) for cell in cells]


def _reported(cell: Cell, file: Path, fault_of: Callable[[Left], str]) -> ReportedCell:
    fault = "the client did not come to this cell"
    if file.exists():
        left = Left(file.read_text().strip(), file.with_suffix(".log").read_text(errors="replace").strip())
        if fault := fault_of(left):
            fault = f"{fault}; it said: {' '.join(left.log.split())[-_TAIL_CHARACTERS:]}"
    result = Result.FAILED if fault else Result.PASSED
    return ReportedCell(cell.client, cell.server, cell.case, result, fault)
