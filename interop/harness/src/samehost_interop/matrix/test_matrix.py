"""One test per cell, `test_cell[client->server:case]`; samehost_interop.plugin makes the cells."""

import os
from collections.abc import Callable

import pytest

from samehost_interop.cells import Cell
from samehost_interop.errors import CaseError, MissingToolchainError
from samehost_interop.runner import Runner

# The first cell of a pair waits for others of its client's process and perhaps for a build: a limit per test, as a
# project may set one for its own tests, can't hold here. The deadlines of the harness do.
pytestmark = pytest.mark.timeout(0)


def test_cell(cell: Cell, runner: Runner, record_property: Callable[[str, object], None]) -> None:
    """The client passes the case against the server."""
    try:
        result = runner.result(cell)
        server = runner.server(cell.server)
    except MissingToolchainError as error:
        if os.environ.get("SAMEHOST_REQUIRE") == "all":
            raise
        pytest.skip(str(error))
    record_property("ready", {"name": server.name, "implementation": server.implementation, "version": server.version})
    record_property("outcome", {"detail": result.detail if result.passed else "", "ms": result.ms})
    if not result.passed:
        raise CaseError(result.detail)
