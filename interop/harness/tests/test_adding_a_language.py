"""Follows the chapter `Adding a language` of interop/README.md with a toy language."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INTEROP = Path(__file__).parents[2]
CHAPTER = (INTEROP / "README.md").read_text(encoding="utf-8").partition("## Adding a language")[2]

FEW = ("--case=empty_unary,ping_pong", "--case=socket/refuses_live,socket/names_the_path_absent")
"""Enough cases to test that both programs start and are understood. The matrix runs all of them."""


def block(language: str) -> str:
    """Return a fenced block of the chapter without its indentation."""
    found = re.search(rf"```{language}\n(.*?)```", CHAPTER, re.DOTALL)
    assert found, f"the chapter has no {language} block"
    return "\n".join(line.strip() for line in found[1].splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the tables of the Python peer and of the chapter's toy, and the program of the toy."""
    interop = tmp_path / "interop"
    (interop / "toy").mkdir(parents=True)
    python = re.search(r"^\[python\]\n.*?(?=^\[)", (INTEROP / "peers.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert python
    (interop / "peers.toml").write_text(f"{python[0]}\n{block('toml')}\n", encoding="utf-8")
    (interop / "known_failing.toml").write_text("")
    shutil.copy(INTEROP / "messages.toml", interop)
    program = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m samehost_interop_python "$@"\n'
    (interop / "toy" / "peer").write_text(program)
    return tmp_path


@pytest.mark.parametrize("number", [0, 1], ids=["interop", "socket"])
def test_the_commands_of_the_chapter_pass_with_a_toy(project: Path, number: int) -> None:
    command = re.findall(r"nox -s interop -- (.*)", block("console"))[number]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "samehost_interop", *shlex.split(command), FEW[number], "-n", "0"],
        cwd=project,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"toy +\d/\d +\d/\d" if number == 0 else r"toy +\d/\d", done.stdout), done.stdout
    assert " 0 failed" in done.stdout
