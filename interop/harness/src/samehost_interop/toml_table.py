"""Reads tables of TOML so that every fault is one line with file, table, key and remedy."""

import tomllib
from pathlib import Path
from typing import Any

from samehost_interop.errors import ConfigurationError


def load_toml(file: Path) -> dict[str, Any]:
    """Reads a file of TOML.

    Raises:
        ConfigurationError: the file can't be read, or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; run in the root of the repository") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: not TOML: {error}; correct it there") from error


class Table:
    """One table of a file, read key by key; a key of the wrong type, a missing or an unknown one is an error."""

    def __init__(self, file: Path, name: str, content: object) -> None:
        self._where = f"{file}: {name}"
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self._where}: {content!r} is not a table; begin it with a line {name}")
        self._content = dict(content)

    def error(self, key: str, fault: str) -> ConfigurationError:
        """The error to raise for a value that has the right type and still can't be."""
        return ConfigurationError(f"{self._where}: {key}: {fault}")

    def text(self, key: str, *, required: bool = True) -> str:
        """A string that is not blank; `""` where it is missing and may be."""
        value = self._take(key, required=required, default="")
        if not isinstance(value, str) or (required and not value.strip()):
            raise self.error(key, f'{value!r} is not a text; write {key} = "..."')
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        value = self._take(key, required=False, default=False)
        if not isinstance(value, bool):
            raise self.error(key, f"{value!r} is not a flag; write {key} = true")
        return value

    def words(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """A list of strings; `()` where it is missing and may be."""
        return self._words(key, self._take(key, required=required, default=[]))

    def texts(self, key: str) -> dict[str, str]:
        """A table of strings; empty where it is missing."""
        value = self._take(key, required=False, default={})
        if not isinstance(value, dict) or not all(isinstance(text, str) and text.strip() for text in value.values()):
            raise self.error(key, f'{value!r} is not a table of texts; write {key} = {{ name = "text" }}')
        return value

    def commands(self, key: str) -> tuple[tuple[str, ...], ...]:
        """A list of lists of strings, none of them empty; `()` where it is missing."""
        value = self._take(key, required=False, default=[])
        if not isinstance(value, list) or not all(value):
            raise self.error(key, f'{value!r} is not a list of commands; write {key} = [["make", "all"]]')
        return tuple(self._words(key, command) for command in value)

    def end(self) -> None:
        """Refuses what nobody read."""
        for key in self._content:
            raise self.error(key, "no such key; correct its spelling or remove it")

    def _take(self, key: str, *, required: bool, default: object) -> Any:
        if required and key not in self._content:
            raise self.error(key, "missing; add it")
        return self._content.pop(key, default)

    def _words(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise self.error(key, f'{value!r} is not a list of words; write ["word", "word"]')
        return tuple(value)
