"""The judge of `docker compose --profile official up`: it writes a script for each client, and reports the results.

    python -m samehost_interop.official.judge --plan /plan --results /results --sockets /run/samehost

The containers share only volumes. A client runs the script /plan/CLIENT.sh, which writes its results to
/results/CLIENT/SERVER/CASE.code and .log.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from samehost_interop.cells import Cell, select
from samehost_interop.errors import ConfigurationError
from samehost_interop.left_results import Left, gather
from samehost_interop.official.containers import FOLDER
from samehost_interop.official.rows import PREFIX, OfficialClient, Reach, load_official
from samehost_interop.peers import load_peers
from samehost_interop.report import Implementation, SuiteReport
from samehost_interop.terminal import render

_FIRST_PORT = 8080
"""The port of the first server's bridge. The other servers follow in order, with one port each."""

_CASE_SECONDS = 180
"""The deadline of one case, as in grpc's own runner."""

_HEAD = """\
run() { # run FOLDER CASE COMMAND
  mkdir -p "$1"
  timeout %d bash -c "$3" >"$1/$2.log" 2>&1
  echo "$?" >"$1/$2.tmp"
  mv "$1/$2.tmp" "$1/$2.code"
}
cd %s
"""

_TAIL = """\
# With --exit-code-from, Compose stops everything when the first container exits. That must not be this one.
trap 'exit 0' TERM INT
sleep infinity &
wait
"""


@click.command()
@click.option("--interop-folder", type=click.Path(path_type=Path), default="interop", help="Folder of official.toml.")
@click.option("--plan", type=click.Path(path_type=Path), required=True, help="Folder for the scripts of the clients.")
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
@click.option("--sockets", type=click.Path(path_type=Path), required=True, help="Folder of the servers' sockets.")
@click.option("--server", "servers", multiple=True, required=True, help="A server; its socket is SERVER.sock.")
@click.option("--client", "names", multiple=True, required=True, help="A table of official.toml.")
@click.option("--case", "globs", multiple=True, help="Only these cases; globs.")
@click.option("--timeout", type=float, default=1800.0, help="Seconds to wait for all results. [1800]")
def main(
    *,
    interop_folder: Path,
    plan: Path,
    results: Path,
    sockets: Path,
    servers: Sequence[str],
    names: Sequence[str],
    globs: Sequence[str],
    timeout: float,
) -> None:
    """Write the scripts, wait for the results and print the grid. Exit with 0 only if no case failed."""
    try:
        official = load_official(interop_folder / "official.toml", all_tags=False)
        peers = load_peers(interop_folder / "peers.toml")
        clients = [official[name] for name in select("--client", [f"{PREFIX}{name}" for name in names], list(official))]
        every_case = tuple(dict.fromkeys(case for client in clients for case in client.cases))
        cases = select("--case", globs, every_case)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    cells = [
        Cell(one.name, server, case) for one in clients for server in servers for case in one.cases if case in cases
    ]
    for server in servers:
        # A second name of the socket for clients that append a port to the path. The link exists before the socket.
        (sockets / f"{server}.sock:0").unlink(missing_ok=True)
        (sockets / f"{server}.sock:0").symlink_to(f"{server}.sock")
    for client in clients:
        _write_plan(plan, client, servers, [cell for cell in cells if cell.client == client.name])
    (plan / "ready").touch()
    report = SuiteReport(
        "official",
        [Implementation(peer.name, peer.language, peer.library) for peer in peers.values()]
        + [Implementation(client.name, client.language, str(client.image)) for client in clients],
        gather(cells, lambda cell: results / cell.client / cell.server / f"{cell.case}.code", timeout, _fault),
    )
    click.echo(render(report, colour=False))
    sys.exit(1 if report.summary()["failed"] else 0)


def _write_plan(plan: Path, client: OfficialClient, servers: Sequence[str], cells: Sequence[Cell]) -> None:
    """Write a script that runs the cells of a client, with every word quoted."""
    lines = [_HEAD % (_CASE_SECONDS, shlex.quote(client.folder))]
    for cell in cells:
        host, port = f"unix://{FOLDER}/{cell.server}.sock", 0
        if client.reach is Reach.BRIDGE:
            host, port = "127.0.0.1", _FIRST_PORT + servers.index(cell.server)
        command = client.command_line(cell.case, host, port)
        lines.append(shlex.join(["run", f"/results/{cell.client}/{cell.server}", cell.case, command]) + "\n")
    lines.append(_TAIL)
    script = plan / f"{client.name}.sh"
    script.write_text("".join(lines), encoding="utf-8")


def _fault(left: Left) -> str:
    return "" if left.code == "0" else f"exit code of the client: expected 0, got {left.code}"


if __name__ == "__main__":
    main()
