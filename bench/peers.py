"""The servers of other languages: those of interop/peers.toml, built and run for speed."""

import dataclasses
from pathlib import Path

from samehost_interop.peers import Peer, load_peers

_TABLE = Path(__file__).parent.parent / "interop" / "peers.toml"


def load(*, for_speed: bool = True) -> dict[str, Peer]:
    """The peers by name.

    Args:
        for_speed: build and start them to be fast, and not, as the matrix does, to be built and started fast.
    """
    peers = load_peers(_TABLE)
    if not for_speed:
        return peers
    rust, java = peers["rust"], peers["java"]
    peers["rust"] = dataclasses.replace(
        rust,
        build=tuple((*words, "--release") for words in rust.build),
        serve=tuple(word.replace("/debug/", "/release/") for word in rust.serve),
    )
    peers["java"] = dataclasses.replace(
        java, serve=tuple(word for word in java.serve if not word.startswith("-XX:TieredStopAtLevel"))
    )
    return peers
