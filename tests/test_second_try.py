"""Tests that use containers have a second try, and others have none."""

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 60.0
"""For three processes of pytest on a busy machine."""

TESTS = """
import pathlib
import pytest

@pytest.fixture
def engine():
    return "an engine"

def fails_at_first(file):
    tried = pathlib.Path(file).exists()
    pathlib.Path(file).touch()
    assert tried, f"no luck with {file}"

def test_of_containers(engine):
    fails_at_first("containers")

def test_in_vain(engine):
    assert engine == "another engine"

def test_of_nothing_else():
    fails_at_first("nothing else")
"""


def test_only_those_that_use_containers_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "test_these.py").write_text(TESTS, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "second_try", "-n2", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "2 failed, 1 flaky in" in ran.stdout
    before, flaky, after = ran.stdout.partition(" flaky: test_these.py::test_of_containers ")
    assert flaky, ran.stdout
    assert "AssertionError: no luck with containers" in after
    assert "how it failed at first" in before, "one that fails twice shows both failures"
    assert "AssertionError: no luck with nothing else" in before
