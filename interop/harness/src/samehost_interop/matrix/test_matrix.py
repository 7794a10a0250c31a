"""One test per cell, `test_cell[client->server:case]`. samehost_interop.plugin creates the cells."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from samehost_interop.cells import Cell
from samehost_interop.client import CaseResult
from samehost_interop.errors import CaseError, MissingToolchainError, NotAskedError, PeerError
from samehost_interop.report import MOST_FLAKY
from samehost_interop.suites import CellRunner
from samehost_interop.turns import Turns

# The first cell of a pair runs all cells of the pair, and perhaps a build. A project's timeout per test is too short
# for that. The deadlines of the harness apply instead.
pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="session")
def second_tries() -> Iterator[int]:
    """Count the second tries of this worker."""
    return itertools.count(1)


def test_cell(  # noqa: PLR0917 - fixtures, which pytest gives by name
    cell: Cell,
    runner: CellRunner,
    turns: Turns,
    second_tries: Iterator[int],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """Pass if the client passes the case against the server. A failed cell gets a second try, alone."""
    is_known_failing = request.node.get_closest_marker("xfail") is not None
    try:
        with turns.beside_others():
            result = runner.result(cell)
            record_property("ready", runner.ready(cell))
    except NotAskedError as error:
        pytest.skip(str(error))
    except MissingToolchainError as error:
        if os.environ.get("SAMEHOST_REQUIRE") == "all":
            raise
        pytest.skip(str(error))
    except PeerError as error:
        if is_known_failing:  # the list excuses only cases, not peers
            raise
        result = CaseResult(passed=False, detail=str(error), ms=None)
    # After MOST_FLAKY + 1 second tries the run has failed, whatever their results.
    if not result.passed and not is_known_failing and next(second_tries) <= MOST_FLAKY + 1:
        first = result.detail
        with turns.alone():
            result = _second_try(cell, runner)
        if not result.passed:
            raise CaseError(f"{result.detail}\nfirst try, in parallel with other cells: {first}")
        record_property("flaky", first)
    record_property("outcome", {"detail": result.detail if result.passed else "", "ms": result.ms})
    if not result.passed:
        raise CaseError(result.detail)


def _second_try(cell: Cell, runner: CellRunner) -> CaseResult:
    try:
        return runner.alone(cell)
    except PeerError as error:
        return CaseResult(passed=False, detail=str(error), ms=None)
