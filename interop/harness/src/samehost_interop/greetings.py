"""Waits for the greetings of every client container and prints the grid: `python -m samehost_interop.greetings`."""

import sys
from pathlib import Path

import click

from samehost_interop.cells import all_cells
from samehost_interop.errors import ConfigurationError
from samehost_interop.left_results import Left, gather
from samehost_interop.peers import load_peers
from samehost_interop.report import Implementation, SuiteReport
from samehost_interop.terminal import render

CASE = "greet"

_METHODS = ["Greet", "GreetInLanguages", "GreetTogether", "Converse"]


@click.command()
@click.option("--peers", type=click.Path(path_type=Path), default="interop/peers.toml", help="The peers.")
@click.option(
    "--results", type=click.Path(path_type=Path), required=True, help="Folder with CLIENT/SERVER.code and .log."
)
@click.option("--timeout", type=float, default=600.0, help="Seconds to wait for all of them. [600]")
def main(peers: Path, results: Path, timeout: float) -> None:
    """Print which clients greeted which servers. Exit with 0 only if every client greeted every server.

    At most three of them may need a second try.
    """
    try:
        # Peers without a container are not in the Compose project.
        found = {name: peer for name, peer in load_peers(peers).items() if peer.dockerfile}
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    cells = all_cells(list(found), list(found), [CASE])
    report = SuiteReport(
        "greetings",
        [Implementation(peer.name, peer.language, peer.library) for peer in found.values()],
        gather(cells, lambda cell: results / cell.client / f"{cell.server}.code", timeout, _fault),
    )
    click.echo(render(report, colour=False))
    sys.exit(1 if report.summary()["failed"] or report.is_too_flaky() else 0)


def _fault(left: Left) -> str:
    """Describe the fault, unless the client exited with 0 and printed all four kinds of call."""
    printed = [line for line in left.log.splitlines() if line in _METHODS]
    return "" if left.code == "0" and printed == _METHODS else f"exit code {left.code}"


if __name__ == "__main__":
    main()
