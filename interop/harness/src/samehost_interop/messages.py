"""The errors that every language reports in the same words, from messages.toml."""

import re
from pathlib import Path

from samehost_interop.toml_table import Table, load_toml


def load_messages(file: Path) -> dict[str, str]:
    """Reads the messages, by names such as `listen.in_use`.

    Raises:
        ConfigurationError: the file cannot be read, or a message is incomplete.
    """
    messages = {}
    for section, rows in load_toml(file).items():
        for name, content in rows.items():
            table = Table(file, f"[{section}.{name}]", content)
            table.text("cause")
            messages[f"{section}.{name}"] = table.text("message")
            table.end()
    return messages


def matches(message: str, line: str, path: str) -> bool:
    """Whether a line of a program contains a message about the socket at a path."""
    known = {"path": path, "folder": str(Path(path).parent), "lock": f"{path}.lock"}
    pattern = ""
    for number, part in enumerate(re.split(r"\{(\w+)\}", message)):  # text, name, text, name, ..., text
        pattern += re.escape(known.get(part, "")) or ".*" if number % 2 else re.escape(part)
    return re.search(pattern, line) is not None
