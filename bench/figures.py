"""Computes medians with their spread, and ratios within one turn, which are robust against the noise of a machine."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.calls import Timing
from bench.contenders import RAW, Contender
from bench.run import Results
from bench.works import MIB, Work

Row = dict[str, Any]

_LIBRARIES = (
    *("grpcio", "protobuf", "grpclib", "connectrpc", "uvicorn", "uvloop", "pyzmq", "pyarrow"),
    *("samehost-server", "samehost-client"),
)


def report(results: Results) -> dict[str, Any]:
    """Return all measurements for bench.json."""
    return {
        "machine": machine(),
        "rows": rows(results),
        "cold_start": [
            {
                **_named(contender),
                "first_call_ms": round(statistics.median(seconds) * 1000),
            }
            for contender, seconds in results.cold_start.items()
        ],
        "memory": [
            {**_named(contender), "server_mib": {count: round(kib / 1024, 1) for count, kib in found.items()}}
            for contender, found in results.memory_kib.items()
        ],
        "faults": results.faults,
    }


def machine() -> dict[str, Any]:
    """Return the machine and the versions of the libraries."""
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    return {
        "processor": ", ".join(sorted(models)) or platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def rows(results: Results) -> list[Row]:
    """Return a row for each contender and work with a timing."""
    plain = {contender.mode: contender for contender, _ in results.timings if _is_plain(contender)}
    made = []
    for (contender, work), timings in results.timings.items():
        answered = [timing for timing in timings if timing is not None]
        if not answered:
            continue
        speeds = [timing.messages / timing.seconds for timing in answered]
        calls_per_second = statistics.median(speeds)
        baseline = results.timings.get((plain[contender.mode], work), []) if contender.mode in plain else []
        made.append(
            {
                "work": work.kind,
                "bytes": work.bytes,
                "callers": work.callers,
                **_named(contender),
                "calls_per_s": round(calls_per_second, 1),
                "p50_us": round(statistics.median(timing.p50_us for timing in answered), 1),
                "p99_us": round(statistics.median(timing.p99_us for timing in answered), 1),
                "mb_per_s": round(calls_per_second * work.bytes / MIB, 2),
                "cpu_s_per_10k": round(
                    statistics.median(timing.cpu_seconds / timing.messages for timing in answered) * 10_000, 3
                ),
                "ratio_to_raw": _ratio(timings, results.timings.get((RAW, work), [])),
                "ratio_to_grpcio": _ratio(timings, baseline),
                "spread": round(_spread(speeds), 3),
            }
        )
    return sorted(made, key=lambda row: (row["work"], row["bytes"], row["callers"], -row["calls_per_s"]))


def row_of(found: Sequence[Row], contender: Contender, work: Work) -> Row | None:
    """Return the row of a contender and a work."""
    wanted = {**_named(contender), "work": work.kind, "bytes": work.bytes, "callers": work.callers}
    return next((row for row in found if wanted.items() <= row.items()), None)


def _named(contender: Contender) -> Row:
    return {
        "contender": contender.name,
        "mode": contender.mode,
        "tuned": contender.tuned,
        "transport": contender.transport,
        "group": contender.group,
        "switches": list(contender.client.switches),
    }


def _is_plain(contender: Contender) -> bool:
    return (contender.name, contender.transport) == ("grpcio", "unix")


def _spread(speeds: Sequence[float]) -> float:
    """Return half the interquartile range relative to the median. Half of the turns are within this range."""
    if len(speeds) == 1:
        return 0.0
    lower, median, upper = statistics.quantiles(speeds, n=4, method="inclusive")
    return (upper - lower) / 2 / median


def _ratio(timings: Sequence[Timing | None], baseline: Sequence[Timing | None]) -> float | None:
    """Return the ratio of messages per second to the baseline: the median of the ratios of each turn."""
    if not baseline:
        return None  # the baseline was not selected
    ratios = [
        (own.messages / own.seconds) / (other.messages / other.seconds)
        for own, other in zip(timings, baseline, strict=True)
        if own and other
    ]
    return round(statistics.median(ratios), 3) if ratios else None
