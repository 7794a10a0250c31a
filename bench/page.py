"""Writes the tables of bench/README.md between its two marks after a full run, so that all figures are of one run."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.contenders import ABLATION, LANGUAGES, PYTHON, Contender
from bench.figures import Row, row_of
from bench.run import IDLE_CONNECTIONS
from bench.works import ALL, MAIN, Work

PAGE = Path(__file__).parent / "README.md"
_BEGIN, _END = "<!-- figures of the last whole run -->", "<!-- end of the figures -->"

_TUNED = [contender for contender in PYTHON if contender.name == "samehost" and contender.tuned]
_NATIVE = [contender for contender in PYTHON if contender.name == "samehost, native" and contender.tuned]


def write(report: dict[str, Any]) -> None:
    """Replace the figures with those of a report."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    figures = "\n\n".join(_tables(report))
    PAGE.write_text(f"{before}{_BEGIN}\n\n{figures}\n\n{_END}{after}", encoding="utf-8")


def _tables(report: dict[str, Any]) -> list[str]:
    rows: Sequence[Row] = report["rows"]
    machine = report["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items() if name in _NAMED)
    system = f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}"
    return [
        f"{system}; {libraries}.",
        "Messages per second, relative to the raw socket:",
        _grid(rows, [*PYTHON, *LANGUAGES], MAIN, "ratio_to_raw"),
        "Messages per second of samehost, native, tuned, and the ratio to plain grpcio in the same mode:",
        _by_work(rows, _NATIVE),
        "The same of samehost, tuned:",
        _by_work(rows, _TUNED),
        "Effect of each switch of the tuning: messages per second, relative to plain grpcio in the same mode:",
        _grid(rows, [*(each for each in PYTHON if each.name == "samehost"), *ABLATION], MAIN, "ratio_to_grpcio"),
        "Milliseconds from the start of both processes to the first call, and server memory with idle connections:",
        _starts(report),
    ]


_NAMED = ("grpcio", "protobuf", "uvloop", "grpclib", "connectrpc", "pyarrow", "pyzmq", "uvicorn")


def _grid(rows: Sequence[Row], contenders: Iterable[Contender], works: Sequence[Work], figure: str) -> str:
    """Return a table with a row for each contender and a column for each work, sorted by the first column."""
    found = [
        (str(contender), [row_of(rows, contender, work) for work in works])
        for contender in contenders
        if contender.client.way != "raw"
    ]
    found.sort(key=lambda line: -((line[1][0] or {}).get(figure) or 0))
    lines = [[name, *(_figure(row, figure) for row in cells)] for name, cells in found]
    return _markdown(["Contender", *map(str, works)], lines)


def _by_work(rows: Sequence[Row], contenders: Sequence[Contender]) -> str:
    lines = []
    for work in ALL:
        cells = [row_of(rows, contender, work) for contender in contenders]
        figures = [cell for row in cells for cell in (_figure(row, "calls_per_s"), _figure(row, "ratio_to_grpcio"))]
        lines.append([str(work), *figures])
    heading = [cell for contender in contenders for cell in (f"{contender.mode}: per second", "x grpcio")]
    return _markdown(["Work", *heading], lines)


def _starts(report: dict[str, Any]) -> str:
    memory = {(row["contender"], row["mode"], row["tuned"]): row["server_mib"] for row in report["memory"]}
    lines = []
    for contender in PYTHON:
        key = (contender.name, contender.mode, contender.tuned)
        start = next((row for row in report["cold_start"] if _key(row) == key), None)
        if start is None:
            continue
        mib = memory.get(key, {})
        cells = [f"{mib[count]:.0f} MiB" if count in mib else "" for count in IDLE_CONNECTIONS]
        lines.append([str(contender), str(start["first_call_ms"]), *cells])
    return _markdown(["Contender", "first call", *(f"{count:,} idle" for count in IDLE_CONNECTIONS)], lines)


def _key(row: Row) -> tuple[str, str, bool]:
    return row["contender"], row["mode"], row["tuned"]


def _figure(row: Row | None, name: str) -> str:
    value: float | None = row[name] if row else None
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _markdown(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *lines))
