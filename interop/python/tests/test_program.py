"""Tests of the three commands, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from samehost_common import SocketAddress
from samehost_interop_python.runner import NEED_GOOGLE_CREDENTIALS


def run(*words: str | Path, asynchronous: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samehost_interop_python", *(["--aio"] if asynchronous else []), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_interop_prints_a_line_for_each_case_and_exits_with_0(serving: SocketAddress, asynchronous: bool) -> None:
    ran = run(
        "interop", "--socket", serving.path, "--case", "ping_pong", "--case", "empty_unary", asynchronous=asynchronous
    )
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["case"], each["result"], each["detail"]) for each in results] == [
        ("ping_pong", "pass", ""),
        ("empty_unary", "pass", ""),
    ]
    assert all(each["ms"] > 0 for each in results)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_cases_that_need_google_are_unimplemented(serving: SocketAddress) -> None:
    words = [word for case in (*NEED_GOOGLE_CREDENTIALS, "empty_unary") for word in ("--case", case)]
    ran = run("interop", "--socket", serving.path, *words)
    results = [json.loads(line)["result"] for line in ran.stdout.splitlines()]
    assert results == ["unimplemented"] * len(NEED_GOOGLE_CREDENTIALS) + ["pass"]
    assert (ran.returncode, ran.stderr) == (1, "")


def test_greet_makes_all_four_kinds_of_call(serving: SocketAddress, asynchronous: bool) -> None:
    ran = run("greet", "--socket", serving.path, "--name", "Ada", asynchronous=asynchronous)
    assert [line for line in ran.stdout.splitlines() if not line.startswith(" ")] == [
        "Greet",
        "GreetInLanguages",
        "GreetTogether",
        "Converse",
    ]
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (["interop", "--socket", "/tmp/app.sock", "--case", "empty_unari"], 2, "'empty_unari' is not one of"),
        (["interop", "--socket", "/tmp/app.sock"], 2, "Missing option '--case'"),
        (["interop", "--case", "empty_unary"], 2, "Missing option '--socket'"),
        (["interop", "--socket", "relative.sock", "--case", "empty_unary"], 2, "the path is not absolute"),
        (["interop", "--socket", "/nowhere/at/all.sock", "--case", "empty_unary"], 1, "folder /nowhere/at"),
        (["greet", "--socket", "/tmp/app.sock"], 2, "Missing option '--name'"),
        (["serve", "--socket", "/nowhere/at/all.sock"], 1, "folder /nowhere/at"),
        (["serve", "--socket", "/tmp/app.sock", "--mode", "rw"], 2, "mode 'rw'"),
        (["sirve"], 2, "No such command"),
    ],
)
def test_an_error_is_one_line(asynchronous: bool, words: list[str], code: int, fragment: str) -> None:
    ran = run(*words, asynchronous=asynchronous)
    assert ran.returncode == code
    assert fragment in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""
