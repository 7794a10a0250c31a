"""Reads messages.toml, the errors that every language reports in the same words, and compares output with it."""

import re
from pathlib import Path

from samehost_interop.errors import ConfigurationError
from samehost_interop.toml_table import Table, load_toml


def load_messages(file: Path) -> dict[str, str]:
    """Read the messages by name, such as `listen.in_use`.

    Raises:
        ConfigurationError: the file cannot be read, or a message has a missing or an unknown key.
    """
    messages = {}
    for section, rows in load_toml(file).items():
        if not isinstance(rows, dict):
            raise ConfigurationError(f"{file}: {section}: {rows!r} is not a message; start a table [section.name]")
        for name, content in rows.items():
            table = Table(file, f"[{section}.{name}]", content)
            table.text("cause")
            messages[f"{section}.{name}"] = table.text("message")
            table.end()
    return messages


def matches(message: str, line: str, path: str) -> bool:
    """Return whether a line contains a message about the socket at a path.

    {path}, {folder} and {lock} stand for these paths, {reason} for any text, and other names for a text that is not
    empty.
    """
    known = {"path": path, "folder": str(Path(path).parent), "lock": f"{path}.lock"}
    patterns = {name: re.escape(text) for name, text in known.items()} | {"reason": ".*"}
    pattern = re.sub(r"\\{(\w+)\\}", lambda name: patterns.get(name[1], ".+"), re.escape(message))
    return re.search(pattern, line) is not None
