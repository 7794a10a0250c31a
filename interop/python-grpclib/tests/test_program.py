"""Tests of the three commands, each in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import pytest

from samehost_common import SocketAddress
from samehost_interop_grpclib.runner import NEED_GOOGLE_CREDENTIALS

Serve: TypeAlias = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samehost_interop_grpclib", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_program_does_not_import_grpcio() -> None:
    """This peer tests grpcio independently, so it must not use grpcio itself."""
    program = "import sys, samehost_interop_grpclib.__main__; print('grpc' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"


def test_cases_that_need_google_are_unimplemented(serve: Serve, address: SocketAddress) -> None:
    words = [word for case in (*NEED_GOOGLE_CREDENTIALS, "empty_unary") for word in ("--case", case)]
    with serve():
        ran = run("interop", "--socket", str(address), *words)
    results = [json.loads(line)["result"] for line in ran.stdout.splitlines()]
    assert results == ["unimplemented"] * len(NEED_GOOGLE_CREDENTIALS) + ["pass"]
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (["interop", "--socket", "/tmp/app.sock", "--case", "empty_unari"], 2, "'empty_unari' is not one of"),
        (["interop", "--socket", "relative.sock", "--case", "empty_unary"], 2, "the path is not absolute"),
        (["interop", "--socket", "/nowhere/at/all.sock", "--case", "empty_unary"], 1, "folder /nowhere/at"),
        (["greet", "--socket", "/tmp/app.sock"], 2, "Missing option '--name'"),
        (["serve", "--socket", "/nowhere/at/all.sock"], 1, "folder /nowhere/at"),
        (["serve", "--socket", "/tmp/app.sock", "--mode", "01777"], 2, "invalid mode '01777'"),
        (["serve", "--socket", "/tmp/app.sock", "--group", "no-such"], 2, "invalid group 'no-such'"),
        (["sirve"], 2, "No such command"),
    ],
)
def test_an_error_is_one_line(words: list[str], code: int, fragment: str) -> None:
    ran = run(*words)
    assert ran.returncode == code
    assert fragment in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""
