"""README.md and docs/ are right: each Python block runs as a program, in the order of its page."""

import contextlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Self

import click
import pytest

import samehost_client.commands
import samehost_demo.commands
import samehost_server.commands
from running import WITHIN, Program, python, serving

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOCKETS = ("/run/app/app.sock", "/tmp/app.sock", "/tmp/greeter.sock", "/tmp/shop.sock")
"""The paths that the pages use. Each test replaces them with its own."""

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r"^<!-- include (\S+?)(?:: (.+))? -->$", re.MULTILINE)

PAGES = ["README.md", *sorted(page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md"))]
PROGRAMS = {
    "samehost": samehost_client.commands.command,
    "samehost-demo": samehost_demo.commands.command,
    "samehost-server": samehost_server.commands.command,
}
COMMANDS = [
    (name, line)
    for name in PAGES
    for line in re.findall(r"^\$ (samehost\S* .+)$", (ROOT / name).read_text(), re.MULTILINE)
]
WITH_PYTHON = [name for name in PAGES if "```python" in (ROOT / name).read_text()]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_blocks_run_in_order(name: str, path: Path, folder: Path) -> None:
    """A block that waits is a server. It runs until the next server, which takes it over or starts after it.

    pytest runs a block with tests. Any other block runs until it exits. If a block `Output` follows, it prints that.
    """
    blocks = BLOCK.findall((ROOT / name).read_text())
    tests = []
    with Server(path) as server:
        for (language, title, code), following in zip(blocks, [*blocks[1:], ("", "", "")], strict=True):
            if language == "console":
                compile_contract(code, folder)
            elif language == "proto":
                (folder / title).write_text(code)
            if language != "python":
                continue
            assert title, f'a Python block of {name} has no title; add the name of its file, as in title="client.py"'
            file = folder / title
            file.write_text(with_path(code, path))
            if "server.wait(" in code:
                server.start(file, takes_over="takeover=True" in code)
                continue
            if title.startswith("test_"):
                tests.append(file)
                continue
            if "connect(" in code:
                server.serve_greeter_if_none_runs()
            printed = run(file, cwd=folder)
            if following[1] == "Output":
                assert printed == following[2]
    if tests:
        run("-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests, cwd=folder)


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_the_commands_in_the_pages_are_valid(name: str, line: str) -> None:
    program, *arguments = shlex.split(line)
    command: click.Command = PROGRAMS[program]
    if isinstance(command, click.Group):
        _, subcommand, arguments = command.resolve_command(click.Context(command), arguments)
        assert subcommand, f"{name} has {line!r}, but {program} has no such command"
        command = subcommand
    command.make_context(program, arguments)  # raises click.UsageError


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_includes_is_there(name: str) -> None:
    for file, heading in INCLUDE.findall((ROOT / name).read_text()):
        text = (ROOT / file).read_text()
        if heading:
            assert re.search(rf"^#+ {re.escape(heading)}$", text, re.MULTILINE), f"{file} has no section {heading!r}"


def test_each_language_has_a_page() -> None:
    languages = {folder.name for folder in (ROOT / "languages").iterdir() if (folder / "README.md").exists()}
    assert {Path(name).stem for name in PAGES if name.startswith("docs/languages/")} - {"index"} == languages


class Server:
    """The server that the clients of a page call: the last one that the page started, else Greeter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._running: Program | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if kind is None:
                self._stop()

    def start(self, file: Path, *, takes_over: bool) -> None:
        """Starts a server of the page and waits for its ready line."""
        before = self._running
        if not takes_over:
            self._stop()
        self._running = self._stack.enter_context(python(file, cwd=file.parent, stderr=None))
        assert json.loads(self._running.line())["address"] == f"unix:{self._path}"
        if takes_over and before:
            assert before.process.wait(WITHIN) == 0

    def serve_greeter_if_none_runs(self) -> None:
        """Starts Greeter, which can be taken over, if the page has not started a server yet."""
        if self._running is None:
            self._running = self._stack.enter_context(serving("sync", self._path))

    def _stop(self) -> None:
        if self._running:
            assert self._running.end() == 0
        self._running = None


def compile_contract(console: str, folder: Path) -> None:
    """Runs the lines of a block that generate stubs."""
    for words in re.findall(r"^\$ python (-m grpc_tools\.protoc .+)$", console, re.MULTILINE):
        run(*shlex.split(words), cwd=folder)


def with_path(code: str, path: Path) -> str:
    """Replaces the paths of a program by that of the test."""
    for each in SOCKETS:
        code = code.replace(each, str(path))
    return code


def run(*arguments: object, cwd: Path) -> str:
    """Runs Python until it exits, and returns its output."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, check=False, text=True, timeout=WITHIN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
