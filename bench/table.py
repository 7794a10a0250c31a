"""Prints the results in the terminal."""

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Row
from bench.works import Work

_LEAST_WIDTH = 120
"""The width of the tables in columns. Rich assumes 80 for a file or a pipe, which has no width."""


def show(report: dict[str, Any]) -> None:
    """Print a table for each work, one for cold starts and memory, and the faults."""
    console = Console()
    console.width = max(console.width, _LEAST_WIDTH)
    rows: list[Row] = report["rows"]
    for (kind, count, callers), found in groupby(rows, lambda row: (row["work"], row["bytes"], row["callers"])):
        table = Table(title=str(Work(kind, count, callers)), title_justify="left")
        for heading in ("contender", "mode"):
            table.add_column(heading)
        for heading in ("x raw", "x grpcio", "per second", "MiB/s", "p50 us", "p99 us", "CPU s / 10,000", "+-"):
            table.add_column(heading, justify="right")
        for row in found:
            table.add_row(
                name(row),
                row["mode"],
                _number(row["ratio_to_raw"], 3),
                _number(row["ratio_to_grpcio"], 2),
                _number(row["calls_per_s"], 0),
                _number(row["mb_per_s"], 1),
                _number(row["p50_us"], 0),
                _number(row["p99_us"], 0),
                _number(row["cpu_s_per_10k"], 2),
                f"{row['spread']:.0%}",
                style="bold" if row["contender"] == "samehost" and row["tuned"] else None,
            )
        console.print(table)
    _show_starts(report, console)
    for fault in report["faults"]:
        console.print(f"fault: {fault}", style="red", markup=False)


def name(row: Row) -> str:
    """Return the name of a contender without its mode, which has its own column."""
    return f"{row['contender']}, tuned" if row["tuned"] and row["group"] == "python" else str(row["contender"])


def _show_starts(report: dict[str, Any], console: Console) -> None:
    table = Table(title="cold start, and memory of the server with idle connections", title_justify="left")
    for heading in ("contender", "mode"):
        table.add_column(heading)
    for heading in ("first call ms", "1: MiB", "100: MiB", "1,000: MiB"):
        table.add_column(heading, justify="right")
    memory = {(name(row), row["mode"]): row["server_mib"] for row in report["memory"]}
    for row in report["cold_start"]:
        if row["group"] == "ablation":
            continue
        found = memory.get((name(row), row["mode"]), {})
        mib = [_number(found.get(count), 0) for count in (1, 100, 1000)]
        table.add_row(name(row), row["mode"], str(row["first_call_ms"]), *mib)
    console.print(table)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
