"""Each Python block of the documentation runs as a program, in the order of its page."""

import contextlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from blocks import INCLUDE, PAGES, ROOT, Block, blocks, with_path
from running import WITHIN, Program, python, required, serving

DOCS = ROOT / "docs"
WITH_PYTHON = [
    name
    for name in PAGES
    if not name.startswith("examples/")  # which test_examples runs
    and any(block.language == "python" for block in blocks(ROOT / name))
]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_blocks_run_in_order(name: str, path: Path, folder: Path) -> None:
    """A block that waits is a server. It runs until the next server, which takes it over or starts after it.

    pytest runs a block with tests. Any other block runs until it exits. If a block `Output` follows, it prints that.
    """
    if name.startswith("python-native/"):
        require_native()
    shown = blocks(ROOT / name)
    tests = []
    with Server(path) as server:
        for block, following in zip(shown, [*shown[1:], None], strict=True):
            if block.language == "console":
                compile_contract(block, folder)
            elif block.language == "proto":
                (folder / block.title).write_text(block.text)
            if block.language != "python":
                continue
            assert block.title, f'a Python block of {name} has no title; add its file, as in title="client.py"'
            file = folder / block.title
            file.write_text(with_path(block.text, path))
            if "server.wait(" in block.text:
                server.start(file)
                continue
            if block.title.startswith("test_"):
                tests.append(file)
                continue
            if "connect(" in block.text:
                server.serve_greeter_if_none_runs()
            printed = run(file, cwd=folder)
            if following and following.title == "Output":
                assert printed == following.text
    if tests:
        run("-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests, cwd=folder)


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

    def start(self, file: Path) -> None:
        """Starts a server of the page and waits for its ready line."""
        code, before = file.read_text(), self._running
        takes_over = "takeover=True" in code
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


def require_native() -> None:
    """Skips the test of a page without the experimental engine, or fails it if everything is required."""
    if importlib.util.find_spec("samehost_native") is None:
        message = "samehost_native is not installed; install cargo, and let nox build it"
        pytest.fail(message) if required() else pytest.skip(message)


def compile_contract(console: Block, folder: Path) -> None:
    """Runs the lines of a block that generate stubs."""
    for command in console.commands():
        if command.startswith("python -m grpc_tools.protoc "):
            run(*shlex.split(command)[1:], cwd=folder)


def run(*arguments: object, cwd: Path) -> str:
    """Runs Python until it exits, and returns its output."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, check=False, text=True, timeout=WITHIN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
