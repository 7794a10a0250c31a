"""Runs what the peers' own languages check them with: `python -m samehost_interop.native lint|test|needs [PEER ...]`.

It runs in the root of the repository, and leaves out, aloud, the peers whose toolchain is not there. With `needs` it
does no more than that.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from samehost_interop.build import Builds, check_toolchain
from samehost_interop.cells import select
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import ConfigurationError, MissingToolchainError, PeerError
from samehost_interop.peers import Peer, load_peers


@click.command()
@click.argument("key", type=click.Choice(["lint", "test", "needs"]))
@click.argument("globs", nargs=-1, metavar="[PEER]...")
def main(key: str, globs: Sequence[str]) -> None:
    """Builds each peer, as linters of many languages need that, and runs the commands of a key in peers.toml.

    The exit code is 0 if all succeeded, 1 if not, or if a toolchain is missing where SAMEHOST_REQUIRE=all.
    """
    try:
        peers = load_peers(Path("interop/peers.toml"))
        names = select("the peer", globs, list(peers))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    if key == "needs":
        content = [_check(peers[name], check_toolchain, ()) for name in names]
    else:
        builds = Builds(Path("build/native"), uuid.uuid4().hex, Deadlines.build)
        commands = {name: getattr(peers[name], key) for name in names}
        content = [_check(peers[name], builds.prepare, each) for name, each in commands.items() if each]
    sys.exit(0 if all(content) else 1)


def _check(peer: Peer, prepare: Callable[[Peer], None], commands: Sequence[Sequence[str]]) -> bool:
    try:
        prepare(peer)
    except MissingToolchainError as error:
        print(f"left out: {error}", flush=True)
        return os.environ.get("SAMEHOST_REQUIRE") != "all"
    except PeerError as error:
        print(error, file=sys.stderr)
        return False
    return all(_run(peer, command) for command in commands)


def _run(peer: Peer, command: Sequence[str]) -> bool:
    print(f"{peer.name}: {' '.join(command)}", flush=True)
    try:
        return subprocess.run(command, cwd=peer.folder, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError as error:
        print(f"{peer.name}: cannot start {command[0]!r}: {error.strerror}; install it", file=sys.stderr)
        return False


if __name__ == "__main__":
    main()
