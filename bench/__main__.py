"""Measures what calls cost, and writes a report: `python -m bench [--quick | --check] [--only PATTERN]`."""

import fnmatch
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import contenders, peers, works
from bench.contenders import Contender
from bench.figures import report
from bench.run import Plan, Results, measure_memory, run
from bench.table import show
from samehost_interop.build import Builds
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import MissingToolchainError, PeerError
from samehost_interop.peers import Peer

REPORT = Path("build/reports/bench.json")

FULL = Plan(works.ALL, rounds=2, turns=4, seconds=0.1)
QUICK = Plan(works.MAIN, rounds=2, turns=4, seconds=0.1)
CHECK = Plan(works.CHECKED, rounds=1, turns=1, seconds=0)
"""With 0 seconds, each caller makes exactly one call."""

_SETTINGS = (
    "GRPC_EXPERIMENTS",
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
)
"""Environment variables that would tune contenders, which are measured with their defaults."""


@click.command()
@click.option("--quick", is_flag=True, help="Only Python contenders and the most important works: two minutes.")
@click.option("--check", is_flag=True, help="Measure nothing; fail if a contender gives a wrong answer.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Contenders by name, such as 'all but *'.")
def main(quick: bool, check: bool, only: tuple[str, ...]) -> None:
    """Run all contenders with the same work, and compare them."""
    console = Console(stderr=True)
    for name in _SETTINGS:
        os.environ.pop(name, None)
    chosen = choose(only, quick=quick, check=check)
    chosen, left_out = installed(chosen, console)
    known, not_built = build(chosen, peers.load(for_speed=not check), console)
    left_out += not_built
    chosen = [contender for contender in chosen if contender.peer is None or contender.peer in known]
    plan = CHECK if check else QUICK if quick else FULL
    with console.status("") as status:
        results = run(chosen, plan, known, status.update)
        if not quick and not check:
            measure_memory([each for each in chosen if each.group == "python"], known, results, status.update)
    results.faults.extend(left_out)
    if check:
        finish(results, chosen)
    found = report(results)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)
    click.echo(f"report: {REPORT}")
    if not quick and not only:
        publish(found)
    sys.exit(1 if results.faults else 0)


def choose(only: Sequence[str], *, quick: bool, check: bool) -> list[Contender]:
    """Return the contenders of this run."""
    if not only:
        groups = {"python"} if quick else {"python", "language"} if check else {"python", "language", "ablation"}
        return [each for each in contenders.ALL if each.group in groups]
    chosen = [each for each in contenders.ALL if any(fnmatch.fnmatchcase(each.name, pattern) for pattern in only)]
    if not chosen:
        raise click.UsageError(f"--only {' or '.join(only)} matches no contender; see bench/contenders.py")
    return chosen


def installed(chosen: Sequence[Contender], console: Console) -> tuple[list[Contender], list[str]]:
    """Return the contenders whose modules are installed, and the faults of the others."""
    found, faults = [], []
    for contender in chosen:
        if contender.module is None or importlib.util.find_spec(contender.module):
            found.append(contender)
        else:
            reason = f"{contender}: the module {contender.module} is not installed; install Rust and run again"
            faults += leave_out(reason, console)
    return found, faults


def build(chosen: Sequence[Contender], table: dict[str, Peer], console: Console) -> tuple[dict[str, Peer], list[str]]:
    """Build the peers of the contenders, and return them together with the faults."""
    builds = Builds(Path("build/bench"), secrets.token_hex(8), Deadlines().build)
    built, faults = {}, []
    for name in {contender.peer: None for contender in chosen if contender.peer}:
        with console.status(f"building {name}"):
            try:
                builds.prepare(table[name])
                built[name] = table[name]
            except MissingToolchainError as error:
                faults += leave_out(str(error), console)
            except PeerError as error:
                faults.append(str(error))
    return built, faults


def leave_out(reason: str, console: Console) -> list[str]:
    """Print what is left out, and return it as a fault if SAMEHOST_REQUIRE=all is set, as in CI."""
    console.print(f"left out: {reason}", markup=False)
    return [reason] if os.environ.get("SAMEHOST_REQUIRE") == "all" else []


def finish(results: Results, chosen: Sequence[Contender]) -> None:
    """Print the result of a check, and exit."""
    for fault in results.faults:
        click.echo(fault, err=True)
    if not results.faults:
        click.echo(f"{len(chosen)} contenders gave correct answers")
    sys.exit(1 if results.faults else 0)


def publish(found: dict[str, Any]) -> None:
    """Write the figures to the page, and draw its plots."""
    # Imported here, because a check does not need matplotlib.
    from bench import page, plots  # noqa: PLC0415

    page.write(found)
    click.echo(f"page: {page.PAGE}")
    for file in plots.draw(found):
        click.echo(f"plot: {file}")


if __name__ == "__main__":
    main()
