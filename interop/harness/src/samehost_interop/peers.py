"""Reads peers.toml, which has everything that the harness knows about a language."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from samehost_interop.errors import ConfigurationError
from samehost_interop.toml_table import Table, load_toml

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Names are parts of `client->server:case` and of globs over it, so other characters are not allowed."""


@dataclass(frozen=True)
class Peer:
    """One implementation. Its commands run in `folder`, the folder of peers.toml."""

    name: str
    language: str
    library: str
    build: tuple[tuple[str, ...], ...]
    serve: tuple[str, ...]
    client: tuple[str, ...]
    needs: tuple[str, ...]
    lint: tuple[tuple[str, ...], ...]
    test: tuple[tuple[str, ...], ...]
    dockerfile: str
    container: tuple[str, ...]
    reference: bool
    tls: bool
    takeover: bool
    folder: Path


def load_peers(file: Path) -> dict[str, Peer]:
    """Read peers.toml, and return the peers by name in the order of the file.

    Raises:
        ConfigurationError: the file cannot be read, or a table is not a valid peer.
    """
    peers = {name: _peer(file, name, content) for name, content in load_toml(file).items()}
    if not peers:
        raise ConfigurationError(f"{file}: no peer; add a table for each implementation")
    return peers


def _peer(file: Path, name: str, content: object) -> Peer:
    table = Table(file, f"[{name}]", content)
    if not _NAME.fullmatch(name):
        raise table.error("name", f"{name!r} is invalid: use lower-case letters, digits and single hyphens")
    peer = Peer(
        name=name,
        language=table.text("language"),
        library=table.text("library"),
        build=tuple(_command(words) for words in table.commands("build")),
        serve=_program(table, "serve"),
        client=_program(table, "client"),
        needs=table.words("needs"),
        lint=tuple(_command(words) for words in table.commands("lint")),
        test=tuple(_command(words) for words in table.commands("test")),
        dockerfile=table.text("dockerfile", required=False),
        container=table.words("container", required=False),
        reference=table.flag("reference"),
        tls=table.flag("tls"),
        takeover=table.flag("takeover"),
        folder=file.parent,
    )
    table.end()
    return peer


def _program(table: Table, key: str) -> tuple[str, ...]:
    words = table.words(key)
    if not words:
        raise table.error(key, "no command; add the words that start the program")
    return _command(words)


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sys.executable if word == "{python}" else word for word in words)
