"""Reads TOML tables. Every error is one line with the file, the table, the key and the remedy."""

import tomllib
from pathlib import Path
from typing import Any

from samehost_interop.errors import ConfigurationError


def load_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; run in the root of the repository") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: not TOML: {error}; correct the file") from error


class Table:
    """One table of a file, which is read key by key. A missing or unknown key or a wrong type is an error."""

    def __init__(self, file: Path, name: str, content: object) -> None:
        self._where = f"{file}: {name}"
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self._where}: {content!r} is not a table; start it with a line {name}")
        self._content = dict(content)

    def error(self, key: str, fault: str) -> ConfigurationError:
        """Return the error for a value that has the right type but is invalid."""
        return ConfigurationError(f"{self._where}: {key}: {fault}")

    def text(self, key: str, *, required: bool = True) -> str:
        """Return a string that is not blank. If it is optional and missing, return `""`."""
        value = self._take(key, required=required, default="")
        if not isinstance(value, str) or (required and not value.strip()):
            raise self.error(key, f'{value!r} is not a text; use {key} = "..."')
        return value

    def flag(self, key: str) -> bool:
        """Return true or false. If it is missing, return false."""
        value = self._take(key, required=False, default=False)
        if not isinstance(value, bool):
            raise self.error(key, f"{value!r} is not a flag; use {key} = true")
        return value

    def words(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """Return a list of strings. If it is optional and missing, return `()`."""
        return self._words(key, self._take(key, required=required, default=[]))

    def texts(self, key: str) -> dict[str, str]:
        """Return a table of strings. If it is missing, return an empty one."""
        value = self._take(key, required=False, default={})
        if not isinstance(value, dict) or not all(isinstance(text, str) and text.strip() for text in value.values()):
            raise self.error(key, f'{value!r} is not a table of texts; use {key} = {{ name = "text" }}')
        return value

    def commands(self, key: str) -> tuple[tuple[str, ...], ...]:
        """Return a list of lists of strings, none of which is empty. If it is missing, return `()`."""
        value = self._take(key, required=False, default=[])
        if not isinstance(value, list) or not all(value):
            raise self.error(key, f'{value!r} is not a list of commands; use {key} = [["make", "all"]]')
        return tuple(self._words(key, command) for command in value)

    def end(self) -> None:
        """Raise an error for a key that was not read."""
        for key in self._content:
            raise self.error(key, "unknown key; correct its spelling or remove it")

    def _take(self, key: str, *, required: bool, default: object) -> Any:
        if required and key not in self._content:
            raise self.error(key, "missing; add it")
        return self._content.pop(key, default)

    def _words(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise self.error(key, f'{value!r} is not a list of words; use ["word", "word"]')
        return tuple(value)
