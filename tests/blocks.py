"""Reads the code blocks of Markdown files."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for glob in ("*.md", "[!.n]*/README.md", "[!.bn]*/*/README.md", "docs/**/*.md")  # but not in .nox or node_modules
    for page in ROOT.glob(glob)
)
"""All pages with code, relative to the root."""

SOCKETS = ("/run/app/app.sock", "/tmp/app.sock", "/tmp/greeter.sock", "/tmp/shop.sock")
"""The paths that the samples use. Each test replaces them with its own."""

INCLUDE = re.compile(r"^<!-- include (\S+?)(?:: (.+))? -->$", re.MULTILINE)
"""The line of a page that shows a file, or one section of it."""

_FENCED = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block between fences. `title` is the name of its file, or empty."""

    language: str
    title: str
    text: str

    def commands(self) -> list[str]:
        """Returns the commands of a console block, without their comments."""
        text = self.text.replace("\\\n", "")
        return [re.sub(r"\s+#.*", "", line) for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]


def blocks(page: Path) -> list[Block]:
    """Returns the blocks of a page in their order."""
    return [
        Block(each["language"], each["title"] or "", textwrap.dedent(each["text"]))
        for each in _FENCED.finditer(page.read_text("utf-8"))
    ]


def has_lines(text: str, lines: str) -> bool:
    """Whether a text has all of these lines in their order, between others and with any indentation and comments."""
    rest = iter([line.partition(" # ")[0].strip() for line in text.splitlines()])
    return all(line.strip() in rest for line in lines.splitlines())


def with_path(code: str, path: Path) -> str:
    """Replaces the paths of a program by that of the test."""
    for each in SOCKETS:
        code = code.replace(each, str(path))
    return code
