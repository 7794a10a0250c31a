"""The judge of `docker compose --profile official up`: it tells each client what to run, and judges what came.

    python -m samehost_interop.official.judge --plan /plan --results /results --sockets /run/samehost

Containers share no more than volumes: /plan/CLIENT.sh says what a client runs, and /results/CLIENT/SERVER/CASE.code and
.log say how it went.
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
"""Of the bridges: one for each server, in the order of the servers."""

_CASE_SECONDS = 180
"""For one case, as grpc's own runner has it."""

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
# With --exit-code-from, Compose stops everything as soon as any container exits: this one must not be the first.
trap 'exit 0' TERM INT
sleep infinity &
wait
"""


@click.command()
@click.option("--interop-folder", type=click.Path(path_type=Path), default="interop", help="Where official.toml is.")
@click.option("--plan", type=click.Path(path_type=Path), required=True, help="Folder for what each client runs.")
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Folder with what came of it.")
@click.option("--sockets", type=click.Path(path_type=Path), required=True, help="Folder of the servers' sockets.")
@click.option("--server", "servers", multiple=True, required=True, help="A server; its socket is SERVER.sock.")
@click.option("--client", "names", multiple=True, required=True, help="A row of official.toml.")
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
    """Plans, waits, prints the grid, and exits with 0 only if every case that a client knows has passed."""
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
        # For clients that append a port to whatever they dial: a second name of the socket, which is there before it.
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
    """Writes a script that runs the cells of a client, with every word of it quoted."""
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
