"""Collects the results of pytest in the report of a suite. The plugin runs in the process that receives all results."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samehost_interop.report import MOST_FLAKY, Implementation, ReportedCell, Result, SuiteReport
from samehost_interop.terminal import render

_STRICT_VERDICT = "[XPASS(strict)]"
"""The start of pytest's message for a test that passed although it is marked `xfail(strict=True)`."""


class SuiteReporter:
    """Collect the cells of a suite, print them, and write `<suite>.json` and `<suite>.html` at the end of the run.

    A test describes its cell in `user_properties`, which pytest-xdist passes to the controller:

    - `cell`: a dict with `client`, `server` and `case`; a test without it is not a cell;
    - `outcome`: a dict with `detail` and `ms`, if the test has them;
    - `flaky`: the fault of the first try, if the second one passed;
    - `known_failing`: a dict with `reason` and `link`, if the test is expected to fail;
    - `ready`: a list of dicts with `name`, `implementation` and `version` of each implementation that took part.

    Args:
        suite: the name of the files.
        folder: the folder of the files.
        implementations: all implementations in the order of the report. Those without a cell are left out.
        cases: all cases in the order of the report.
    """

    def __init__(
        self, suite: str, folder: Path, implementations: Sequence[Implementation], cases: Sequence[str]
    ) -> None:
        self._suite = suite
        self._folder = folder
        self._implementations = {one.name: one for one in implementations}
        self._cases = list(cases)
        self._cells: dict[str, ReportedCell] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the result of a test, or of its setup or teardown if that failed."""
        properties: dict[str, Any] = dict(report.user_properties)
        if "cell" not in properties or (report.when != "call" and report.passed):
            return
        for ready in properties.get("ready", ()):
            if ready["name"] in self._implementations:
                self._implementations[ready["name"]] = replace(self._implementations[ready["name"]], **ready)
        result = _result(report)
        outcome = properties.get("outcome", {"detail": "", "ms": None})
        known = properties.get("known_failing", {}) if result == Result.KNOWN_FAILING else {}
        cell = ReportedCell(**properties["cell"], result=result, **outcome, **known)
        if result == Result.FLAKY:
            cell = replace(cell, detail=properties["flaky"])
        elif result != Result.PASSED:
            cell = replace(cell, detail=_fault(report))
        before = self._cells.get(report.nodeid)
        if before is not None and before.result == Result.FAILED:
            cell = replace(cell, detail=f"{before.detail}\n{cell.detail}")
        self._cells[report.nodeid] = cell

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the grid of pairs, and why cells did not pass."""
        report = self._report()
        if self._cells:
            terminalreporter.section(self._suite)
            terminalreporter.write(render(report, colour=terminalreporter.hasmarkup))
            terminalreporter.write_line(f"cases of each pair: {self._folder / self._suite}.html")
        if report.is_too_flaky():
            terminalreporter.write_line(
                f"more than {MOST_FLAKY} cells are flaky, so the run fails; see why their first try failed", red=True
            )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files."""
        report = self._report()
        if not session.config.option.collectonly:
            report.write(self._folder)
            write_page_of_pairs(self._folder)
        if report.is_too_flaky() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self) -> SuiteReport:
        names = list(self._implementations)
        cells = sorted(
            self._cells.values(),
            key=lambda cell: (
                _position(names, cell.client),
                _position(names, cell.server),
                _position(self._cases, cell.case),
            ),
        )
        used = {name for cell in cells for name in (cell.client, cell.server)}
        return SuiteReport(self._suite, [one for one in self._implementations.values() if one.name in used], cells)


def write_page_of_pairs(folder: Path) -> None:
    """Add gRPC's own clients to the page of the matrix, if both suites have run."""
    ours, official = folder / "interop.json", folder / "official.json"
    if ours.exists() and official.exists():
        SuiteReport.read(ours).beside(SuiteReport.read(official)).write_page(folder)


def _result(report: pytest.TestReport) -> Result:
    if hasattr(report, "wasxfail") and report.skipped:
        return Result.KNOWN_FAILING
    if report.skipped:
        return Result.SKIPPED
    if not report.passed:
        return Result.FAILED
    return Result.FLAKY if "flaky" in dict(report.user_properties) else Result.PASSED


def _fault(report: pytest.TestReport) -> str:
    """Return the message of the exception, without the name of its class."""
    match report.longrepr:
        case (_, _, str(message)):  # a skip: file, line, message
            pass
        case str(message) if message.startswith(_STRICT_VERDICT):
            reason = message.removeprefix(_STRICT_VERDICT).strip()
            return f"passed, but is listed as known failing ({reason}); remove it from the list"
        case other:
            crash = getattr(other, "reprcrash", None)
            message = crash.message if crash else str(other)
    return re.sub(r"\A(?:Skipped|[\w.]*Error): ", "", message)


def _position(order: list[str], name: str) -> tuple[int, str]:
    """Return the sort key of a name: its position in the order, or after all of them, by name."""
    return (order.index(name) if name in order else len(order), name)
