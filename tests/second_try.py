"""A plugin of pytest that retries a failed test with containers once, alone, because the container engine may be busy.

If the retry passes, the test is flaky, and the summary shows its first failure. Other tests are not retried. The
timeout of a test with containers has to be `func_only`, so that it applies to each try.
"""

from collections.abc import Generator
from contextlib import nullcontext

import pytest
from _pytest.runner import runtestprotocol

from samehost_interop.turns import Turns

_FIRST = "first failure"


def _uses_containers(item: pytest.Item) -> bool:
    return "docker_engine" in getattr(item, "fixturenames", ())


def _turns(item: pytest.Item) -> Turns:
    return Turns(item.config.rootpath / "build" / "tests")


# Outside of the hook of pytest-timeout, so that the wait for a turn does not count for the timeout.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Makes every other test wait while one runs alone."""
    with nullcontext() if _uses_containers(item) else _turns(item).beside_others():
        return (yield)


@pytest.hookimpl(specname="pytest_runtest_protocol", tryfirst=True)
def pytest_run_twice(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a test that uses containers, and retries it once if it fails."""
    if not _uses_containers(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    with _turns(item).beside_others():
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if failures := [report.longreprtext for report in reports if report.failed]:
        with _turns(item).alone():
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            report.sections.append((_FIRST, "\n".join(failures)))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Counts a test that passed in its second try as flaky."""
    second = report.when == "call" and report.passed and _FIRST in dict(report.sections)
    return ("flaky", "f", "FLAKY") if second else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the first failures of flaky tests."""
    for report in terminalreporter.getreports("flaky"):
        terminalreporter.section(f"flaky: {report.nodeid}")
        terminalreporter.write_line(dict(report.sections)[_FIRST])
