"""Fixtures: a folder for a socket, and a server in a process of its own."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from samehost_common import SocketAddress


@pytest.fixture
def address() -> Iterator[SocketAddress]:
    # pytest's own folder may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="samehost-", dir="/tmp"))
    yield SocketAddress(folder / "app.sock")
    shutil.rmtree(folder)


@pytest.fixture
def serve(address: SocketAddress) -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """Start a server and wait until it is ready. At the end it gets SIGTERM and must exit with 0."""

    @contextlib.contextmanager
    def serve(*options: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "samehost_interop_grpclib", "serve", "--socket", str(address), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert json.loads(process.stdout.readline())["implementation"] == "grpclib"
            try:
                yield process
            finally:
                process.terminate()
            assert process.wait(20) == 0

    return serve
