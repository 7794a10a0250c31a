"""Tests that use containers are retried once, and others are not."""

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 60.0
"""The timeout for three processes of pytest on a busy machine."""

TESTS = """
import pathlib
import pytest

@pytest.fixture
def docker_engine():
    return "an engine"

@pytest.fixture
def engine():
    return "an engine of gRPC"

def fails_at_first(file):
    tried = pathlib.Path(file).exists()
    pathlib.Path(file).touch()
    assert tried, f"no luck with {file}"

def test_of_containers(docker_engine):
    fails_at_first("containers")

def test_fails_twice(docker_engine):
    assert docker_engine == "another engine"

def test_without_containers(engine):
    fails_at_first("no containers")
"""


def test_only_tests_with_containers_are_retried(tmp_path: Path) -> None:
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
    assert "first failure" in before, "a test that fails twice shows both failures"
    assert "AssertionError: no luck with no containers" in before
