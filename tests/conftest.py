"""The fixtures that all tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samehost_common.engine import ENGINES, NATIVE


def pytest_configure(config: pytest.Config) -> None:
    """Loads the plugin that retries tests with containers."""
    config.pluginmanager.import_plugin("second_try")


@pytest.fixture(params=["sync", "aio"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of server or client. Both follow the same contract."""
    return str(request.param)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine of a server or client."""
    if request.param == NATIVE:
        pytest.importorskip("samehost_native", reason="it needs Rust")
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name, because the path of a socket has at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="samehost-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def path(folder: Path) -> Path:
    """The path of the socket of a test."""
    return folder / "app.sock"
