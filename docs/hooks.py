"""Puts files of the repository into pages, so that nothing is written twice.

A line of a page includes a file, or one section of a Markdown file without its heading:

    <!-- include PROTOCOL.md -->
    <!-- include README.md: Choose your languages -->
    <!-- messages connect -->

The last one is a section of interop/messages.toml as a table. A link to a file of the repository leads to the page that
includes the file, or else to the file in the repository.
"""  # noqa: INP001 - MkDocs loads this file by its path

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
START = "README.md"
"""Pages include sections of it, and the start page is there in its place."""

PICTURES = {"bench/plots/unary.svg": "images/unary.svg"}
"""Pictures of the repository that pages show, and their places in the site."""

MESSAGES = ROOT / "interop" / "messages.toml"

_MESSAGES = re.compile(r"^<!-- messages (?P<section>\w+) -->$", re.MULTILINE)
_INCLUDE = re.compile(r"^<!-- include (?P<file>[^\s:]+)(?:: (?P<section>.+))? -->$", re.MULTILINE)
# Code, which is left alone, or the target of a link.
_CODE_OR_LINK = re.compile(
    r"(?P<code>^```.*?^```$|`[^`\n]+`)|\]\((?P<file>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)", re.MULTILINE | re.DOTALL
)
_ELSEWHERE = ("https:", "http:", "mailto:")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pictures to the site."""
    for source, place in PICTURES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - MkDocs gives these
    """Puts in what a page includes, and makes its links work."""
    name, repository = page.file.src_uri, config.repo_url.rstrip("/")
    markdown = with_links(markdown, f"docs/{name}", name, repository)
    return _MESSAGES.sub(lambda found: messages(found["section"]), include(markdown, name, repository))


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - MkDocs gives these
    """Writes the default mode of a socket in octal, which mkdocstrings reads as a number."""
    return html.replace(">432<", ">0o660<") if page.file.src_uri == "reference/server.md" else html


def include(markdown: str, page: str, repository: str) -> str:
    """Puts in what a page includes, with links that work there.

    Args:
        markdown: the source of the page.
        page: its path in docs/.
        repository: address of the repository, without a slash at the end.

    Raises:
        ValueError: a file has no such section, or links to a file that does not exist.
        OSError: a file cannot be read.
    """

    def content(found: re.Match[str]) -> str:
        text = (ROOT / found["file"]).read_text()
        if not found["file"].endswith(".md"):
            return text.rstrip()
        if found["section"]:
            text = section(text, found["section"], found["file"])
        return with_links(text, found["file"], page, repository).rstrip()

    return _INCLUDE.sub(content, markdown)


def messages(section_name: str) -> str:
    """Returns a section of messages.toml as a table."""
    rows = tomllib.loads(MESSAGES.read_text())[section_name].values()
    lines = ["| Message | Cause | Remedy |", "|---|---|---|"]
    for row in rows:
        message, _, remedy = row["message"].partition("; ")
        remedy = remedy[:1].upper() + remedy[1:]
        lines.append(f"| {_as_text(message)} | {row['cause']} | {_as_text(remedy)}. |")
    return "\n".join(lines)


def _as_text(message: str) -> str:
    message = re.sub(r"(?<=\w)\{", ": {", message)  # what may follow a word brings its own colon
    return re.sub(r"\{(\w+)\}", r"*\1*", message)


def section(markdown: str, heading: str, file: str) -> str:
    """Returns one section of a file, without its heading."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"{file} has no section {heading!r}: change the line in docs/ that includes it")
    return found[2]


def with_links(markdown: str, file: str, page: str, repository: str) -> str:
    """Lets the links of a file lead on from the page that includes it."""
    pages = including_pages()

    def link(found: re.Match[str]) -> str:
        if found["code"] or found["file"].startswith(_ELSEWHERE):
            return found[0]
        anchor, here = found["anchor"] or "", posixpath.dirname(page) or "."
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), found["file"])) if found["file"] else file
        if place := PICTURES.get(target):
            return f"]({posixpath.relpath(place, here)})"
        if target.startswith("docs/"):
            return found[0] if file.startswith("docs/") else f"]({posixpath.relpath(target[5:], here)}{anchor})"
        if (ROOT / target).is_dir() and f"{target}/README.md" in pages:
            target += "/README.md"
        if there := pages.get(target + anchor):
            return f"]({posixpath.relpath(there, here)})"
        if target != START and (there := pages.get(target)):
            return f"]({posixpath.relpath(there, here)}{anchor})"
        if not (ROOT / target).exists():
            raise ValueError(f"{file} links to {target}, which does not exist: correct the link")
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"]({repository}/{kind}/main/{target}{anchor})"

    return _CODE_OR_LINK.sub(link, markdown)


def including_pages() -> dict[str, str]:
    """Maps each file, or its section as `file#anchor`, to the page that includes it."""
    pages = {START: "index.md"}
    for source in sorted(DOCS.rglob("*.md")):
        for found in _INCLUDE.finditer(source.read_text()):
            anchor = (
                "#" + re.sub(r"[^\w -]", "", found["section"].lower()).replace(" ", "-") if found["section"] else ""
            )
            pages[found["file"] + anchor] = source.relative_to(DOCS).as_posix()
    return pages
