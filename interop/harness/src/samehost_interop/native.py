"""Runs the linters and tests of each language: `python -m samehost_interop.native lint|test|needs [PEER ...]`.

Run it in the root of the repository. It checks two peers at a time, and prints the peers that it leaves out because
their toolchain is missing. `needs` only prints these. The commands of a peer also check its library in languages/. The
examples of a language belong to the peer of that name.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import click

from samehost_interop.build import Builds, check_toolchain
from samehost_interop.cells import select
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import ConfigurationError, MissingToolchainError, PeerError
from samehost_interop.peers import Peer, load_peers

_TABLES = (Path("interop/peers.toml"), Path("examples/examples.toml"))

_PEERS_AT_ONCE = 2
"""Most compilers and linters keep one core busy."""


@click.command()
@click.argument("key", type=click.Choice(["lint", "test", "needs"]))
@click.argument("globs", nargs=-1, metavar="[PEER]...")
def main(key: str, globs: Sequence[str]) -> None:
    """Build each peer, because many linters need that, and run its commands from peers.toml.

    The exit code is 0 if all succeeded, and 1 otherwise. With SAMEHOST_REQUIRE=all, a missing toolchain is a failure.
    """
    try:
        tables = [load_peers(file) for file in _TABLES]
        names = select("peer", globs, list(dict.fromkeys(chain.from_iterable(tables))))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    selected = [[peers[name] for name in names if name in peers] for peers in tables]
    if key == "needs":
        content = [_check(peer, check_toolchain, ()) for peer in chain.from_iterable(selected)]
    else:
        run = uuid.uuid4().hex
        with ThreadPoolExecutor(_PEERS_AT_ONCE) as pool:
            checks = [
                pool.submit(_check, peer, prepare, commands)
                for peers in selected
                for prepare in [Builds(Path("build/native"), run, Deadlines.build).prepare]
                for peer in peers
                if (commands := getattr(peer, key))
            ]
        content = [check.result() for check in checks]
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
    try:
        done = subprocess.run(
            command,
            cwd=peer.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        print(f"{peer.name}: cannot start {command[0]!r}: {error.strerror}; install it", file=sys.stderr)
        return False
    # In one call, because the commands of another peer print at the same time.
    print(f"{peer.folder.name}/{peer.name}: {' '.join(command)}\n{done.stdout}", end="", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
