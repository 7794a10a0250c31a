"""Draws the plots of the pages."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.contenders import PYTHON
from bench.figures import row_of
from bench.works import MIB, STREAMS, UNARY, Work, size

FOLDER = Path(__file__).parent / "plots"

_OURS, _OTHERS = "#0b7285", "#adb5bd"


def draw(report: dict[str, Any]) -> list[Path]:
    """Draw all plots, and return their files."""
    # A fixed salt, so that the ids in the files do not change with every run.
    mpl.rcParams.update({"svg.hashsalt": "samehost", "svg.fonttype": "none", "font.size": 9})
    FOLDER.mkdir(exist_ok=True)
    return [
        _bars(report, (Work("unary", 64), Work("unary", MIB)), "unary.svg"),
        _bars(report, (STREAMS[0], STREAMS[1]), "stream.svg"),
        _lines(report, "sizes.svg"),
    ]


def _bars(report: dict[str, Any], works: tuple[Work, Work], file: str) -> Path:
    """Plot the messages per second of each contender, relative to the raw socket."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, work in zip(figure.subplots(1, 2), works, strict=True):
        found = [(contender, row_of(report["rows"], contender, work)) for contender in PYTHON]
        bars = sorted(
            (row["ratio_to_raw"], str(contender), contender.name == "samehost" and contender.tuned)
            for contender, row in found
            if row and row["ratio_to_raw"] is not None and contender.name != "raw socket"
        )
        drawn = axes.barh([name for _, name, _ in bars], [ratio for ratio, _, _ in bars])
        for bar, (_, _, ours) in zip(drawn, bars, strict=True):
            bar.set_color(_OURS if ours else _OTHERS)
        axes.bar_label(drawn, fmt="%.2g", padding=2, fontsize=7)
        axes.set_title(str(work))
        axes.set_xlabel("messages per second, relative to the raw socket")
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, file)


def _lines(report: dict[str, Any], file: str) -> Path:
    """Plot the time of a unary call by size."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = ("raw socket sync", "samehost sync, tuned", "samehost asyncio, tuned", "grpcio sync", "grpcio, TCP sync")
    for contender in PYTHON:
        if str(contender) not in shown:
            continue
        rows = [(work, row_of(report["rows"], contender, work)) for work in UNARY]
        points = [(size(work.bytes), row["p50_us"]) for work, row in rows if row]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=str(contender))
    axes.set_yscale("log")
    axes.set_ylabel("microseconds, median")
    axes.set_title("unary call, with the same number of bytes in each direction")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _save(figure, file)


def _save(figure: Figure, file: str) -> Path:
    path = FOLDER / file
    figure.savefig(path, metadata={"Date": None})
    return path
