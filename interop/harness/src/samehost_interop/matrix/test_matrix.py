"""One test per cell, `test_cell[client->server:case]`; samehost_interop.plugin makes the cells."""

import os
from collections.abc import Callable

import pytest

from samehost_interop.cells import Cell
from samehost_interop.errors import CaseError, MissingToolchainError, NotAskedError
from samehost_interop.suites import CellRunner

# The first cell of a pair waits for others of its client's process and perhaps for a build: a limit per test, as a
# project may set one for its own tests, can't hold here. The deadlines of the harness do.
pytestmark = pytest.mark.timeout(0)


def test_cell(cell: Cell, runner: CellRunner, record_property: Callable[[str, object], None]) -> None:
    """The client passes the case against the server."""
    try:
        result = runner.result(cell)
        ready = runner.ready(cell)
    except NotAskedError as error:
        pytest.skip(str(error))
    except MissingToolchainError as error:
        if os.environ.get("SAMEHOST_REQUIRE") == "all":
            raise
        pytest.skip(str(error))
    record_property("ready", ready)
    record_property("outcome", {"detail": result.detail if result.passed else "", "ms": result.ms})
    if not result.passed:
        raise CaseError(result.detail)
