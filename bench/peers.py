"""Loads the servers of other languages from interop/peers.toml, and optimizes them for speed."""

import dataclasses
from pathlib import Path

from samehost_interop.peers import Peer, load_peers

_TABLE = Path(__file__).parent.parent / "interop" / "peers.toml"


def load(*, for_speed: bool = True) -> dict[str, Peer]:
    """Return the peers by name.

    Args:
        for_speed: optimize for the speed of calls. The matrix optimizes for short builds and starts.
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
