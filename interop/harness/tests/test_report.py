"""Tests of the HTML page and the terminal output of a report."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from samehost_interop.report import Implementation, Pair, ReportedCell, Result, SuiteReport
from samehost_interop.terminal import render

LINK = "https://example.org/issues/1"
NASTY = "</script><script>alert(1)</script><img src=https://example.org/x>"


@pytest.fixture
def report() -> SuiteReport:
    return SuiteReport(
        "interop",
        [Implementation("go", "Go", "grpc-go", "grpc-go", "1.85.0"), Implementation("java", "Java", "grpc-java")],
        [
            ReportedCell("go", "go", "empty_unary", Result.PASSED, ms=1.2),
            ReportedCell("go", "java", "empty_unary", Result.FAILED, detail=NASTY, ms=3),
            ReportedCell("go", "java", "ping_pong", Result.FLAKY, detail="it was late\nby 3 s", ms=2),
            ReportedCell("java", "go", "empty_unary", Result.KNOWN_FAILING, reason="No way.", link=LINK),
            ReportedCell("java", "java", "empty_unary", Result.SKIPPED, detail="java is not on PATH"),
        ],
    )


class Addresses(HTMLParser):
    """Collects the addresses that a page loads or links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            (tag, value or "") for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}
        ]


def test_the_page_loads_nothing(report: SuiteReport, tmp_path: Path) -> None:
    report.write(tmp_path)
    page = (tmp_path / "interop.html").read_text(encoding="utf-8")
    addresses = Addresses()
    addresses.feed(page)
    assert addresses.found == [("link", "data:,"), ("a", LINK)]
    assert not re.search(r"@import|url\(|fetch\(|import\(|XMLHttpRequest", page)


def test_the_page_shows_every_pair_and_escapes_text(report: SuiteReport, tmp_path: Path) -> None:
    report.write(tmp_path)
    page = (tmp_path / "interop.html").read_text(encoding="utf-8")
    assert page.count("data-client=") == 4
    assert "go to java: 0 of 2 passed, 1 failed, 1 flaky, 0 known failing, 0 skipped" in page
    assert "alert(1)" in page
    assert NASTY not in page


def test_the_terminal_shows_failures_and_known_failures(report: SuiteReport) -> None:
    text = render(report, colour=False)
    assert re.search(r"go +1/1 +0/2 *\n +java +0/1 +0/1 *\n", text)
    assert f"failed go->java:empty_unary: {NASTY}" in text
    assert "flaky go->java:ping_pong: it was late\n" in text
    assert f"known failing 1 cells: No way. ({LINK})" in text
    assert "skipped java is not on PATH" in text
    assert "5 cells, 1 passed, 1 failed, 1 flaky, 1 known failing, 1 skipped" in text
    assert "\x1b" not in text


def test_a_pair_has_the_worst_result_of_its_cells() -> None:
    cells = [ReportedCell("go", "go", result.value, result) for result in Result]
    assert Pair("go", "go", cells).result == Result.FAILED
    assert Pair("go", "go", cells[2:]).result == Result.FLAKY
    assert Pair("go", "go", cells[3:]).result == Result.KNOWN_FAILING
    assert Pair("go", "go", cells[4:]).result == Result.SKIPPED
    assert Pair("go", "go", cells[:1]).result == Result.PASSED


def test_the_report_of_a_suite_without_pairs_has_the_same_format(tmp_path: Path) -> None:
    report = SuiteReport("socket", [], [ReportedCell("", "go", "stale_file", Result.PASSED)])
    report.write(tmp_path)
    assert (tmp_path / "socket.json").exists()
    assert (tmp_path / "socket.html").exists()
    assert "1/1" in render(report, colour=False)
