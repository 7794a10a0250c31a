"""Fixtures: a folder for sockets, and both kinds of server in processes of their own."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samehost_common import SocketAddress


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    # pytest's own folder may be too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="samehost-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session", params=["python", "python-aio"])
def serving(request: pytest.FixtureRequest, folder: Path) -> Iterator[SocketAddress]:
    """The address of a running server of either kind."""
    mode = ["--aio"] if request.param == "python-aio" else []
    command = [sys.executable, "-m", "samehost_interop_python", *mode, "serve"]
    command += ["--socket", str(folder / f"{request.param}.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        yield SocketAddress.parse(ready["address"])
        process.terminate()
        assert process.wait() == 0


@pytest.fixture(params=["sync", "aio"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether the client is the asyncio one."""
    return bool(request.param == "aio")
