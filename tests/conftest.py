"""The fixtures that all tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Gives tests that use containers a second try."""
    config.pluginmanager.import_plugin("second_try")


@pytest.fixture(params=["sync", "aio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of server, and of client, keep the same contract."""
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name, whatever pytest's own is: a socket's path has 107 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="samehost-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def path(folder: Path) -> Path:
    """Where a test's socket is."""
    return folder / "app.sock"
