"""Renders a report for the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from samehost_interop.report import Pair, Result, SuiteReport

_STYLES = {
    Result.PASSED: "green",
    Result.FAILED: "bold red",
    Result.FLAKY: "magenta",
    Result.KNOWN_FAILING: "yellow",
    Result.SKIPPED: "bright_black",
}


def render(report: SuiteReport, *, colour: bool) -> str:
    """Render the grid of clients and servers with the number of passed cells, and why other cells did not pass."""
    servers = report.names("server")
    width = 30 + 12 * len(servers)  # wide enough that rich does not wrap the grid
    console = Console(width=max(width, 100), force_terminal=colour, no_color=not colour, highlight=False)
    with console.capture() as capture:
        console.print(_grid(report, servers))
        _print_reasons(console, report)
        console.print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.summary().items()))
    return capture.get()


def _grid(report: SuiteReport, servers: Sequence[str]) -> Table:
    grid = Table(box=box.SIMPLE)
    grid.add_column("client \\ server")
    for server in servers:
        grid.add_column(server, justify="right")
    pairs = report.pairs()
    for client in report.names("client"):
        grid.add_row(client, *(_count(pairs.get((client, server))) for server in servers))
    return grid


def _count(pair: Pair | None) -> Text:
    if pair is None:
        return Text("")
    return Text(f"{pair.count(Result.PASSED)}/{len(pair.cells)}", style=_STYLES[pair.result])


def _print_reasons(console: Console, report: SuiteReport) -> None:
    for cell in report.cells:
        if cell.result in {Result.FAILED, Result.FLAKY}:
            name = f"{cell.client}->{cell.server}:{cell.case}"
            _print(console, cell.result, f"{name}: {(cell.detail or 'no detail').splitlines()[0]}")
    for (reason, link), cells in report.exceptions().items():
        _print(console, Result.KNOWN_FAILING, f"{len(cells)} cells: {reason} ({link})")
    for fault in dict.fromkeys(cell.detail for cell in report.cells if cell.result == Result.SKIPPED):
        _print(console, Result.SKIPPED, fault)


def _print(console: Console, result: Result, text: str) -> None:
    label = result.value.replace("_", " ")
    console.print(Text.assemble((label, _STYLES[result]), " ", text), soft_wrap=True)
