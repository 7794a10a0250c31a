"""Tests of the report's page in a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from samehost_interop.report import Implementation, ReportedCell, Result, SuiteReport

CASES = ("empty_unary", "large_unary", "orca_per_rpc")
REASON = "The library hides the trailer."
LINK = "https://example.org/issues/1"
DETAIL = "payload size: expected 314159, got 0 <b>&"


@pytest.fixture
def requests() -> list[str]:
    """The addresses that the page requested."""
    return []


@pytest.fixture
def page(tmp_path: Path, requests: list[str]) -> Iterator[Page]:
    """The page of a matrix with two peers, in the Chromium or Chrome that is on PATH."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        message = "the command chromium is not on PATH; install the package chromium"
        pytest.fail(message) if os.environ.get("SAMEHOST_REQUIRE") == "all" else pytest.skip(message)
    report().write(tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "interop.html").as_uri())
        yield page
        browser.close()


def report() -> SuiteReport:
    return SuiteReport(
        "interop",
        [Implementation("go", "Go", "grpc-go", "grpc-go", "1.85.0"), Implementation("java", "Java", "grpc-java")],
        [
            *(ReportedCell("go", "go", case, Result.PASSED, ms=1.2) for case in CASES),
            *(ReportedCell("go", "java", case, Result.PASSED, ms=1.2) for case in CASES[:2]),
            ReportedCell("go", "java", CASES[2], Result.KNOWN_FAILING, detail="no", reason=REASON, link=LINK),
            *(ReportedCell("java", "go", case, Result.PASSED, ms=1.2) for case in CASES[1:]),
            ReportedCell("java", "go", CASES[0], Result.FAILED, detail=DETAIL, ms=3),
            *(ReportedCell("java", "java", case, Result.SKIPPED, detail="no java") for case in CASES),
        ],
    )


def pair(page: Page, client: str, server: str) -> None:
    """Click a pair in the grid."""
    page.locator(f'.grid button[data-client="{client}"][data-server="{server}"]').click()


def test_a_click_on_a_pair_shows_its_cases_and_the_reason_of_a_known_failure(page: Page) -> None:
    pair(page, "go", "java")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("go → java")
    expect(dialog.locator("li b")).to_have_text(list(CASES))
    known = dialog.locator('li[data-result="known_failing"]')
    expect(known).to_contain_text(REASON)
    expect(known.get_by_role("link")).to_have_attribute("href", LINK)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_failures_button_filters_the_grid_and_a_pair(page: Page) -> None:
    page.get_by_role("button", name="Failures", exact=True).click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.grid button')]"
        ".filter(button => getComputedStyle(button).opacity < 0.5).length === 3"
    )
    pair(page, "java", "go")
    items = page.get_by_role("dialog").locator("li")
    expect(items).to_have_count(1)
    expect(items).to_contain_text(CASES[0])
    expect(items.locator("pre")).to_have_text(DETAIL)


def test_arrow_keys_move_in_the_grid_and_enter_opens_a_pair(page: Page) -> None:
    page.locator(".grid button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text("java → java")


def test_the_page_requests_nothing_from_a_network(page: Page, requests: list[str]) -> None:
    pair(page, "java", "go")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len(requests) >= 1
