"""Runs the server of a peer on a fresh socket, from the ready line to SIGTERM."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from samehost_interop.child_process import ChildProcess, quoted
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import PeerError
from samehost_interop.peers import Peer

_MAX_FOLDER_BYTES = 60
"""The part of the 107 bytes of a socket path that the folder may use. The rest leaves room for the private name that a
server binds first."""


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready, with the name and version from its ready line."""

    name: str
    socket: Path
    implementation: str
    version: str
    process: ChildProcess

    def check(self) -> None:
        """Raise PeerError if the server has exited."""
        try:
            code = self.process.wait(0)
        except TimeoutError:
            return
        raise PeerError(self.process.explain(f"server {self.name} exited with code {code} while it was in use"))


@contextmanager
def serving(peer: Peer, deadlines: Deadlines) -> Iterator[RunningServer]:
    """Run a peer's server on a fresh socket. At the end it gets SIGTERM, and its process group is killed.

    Raises:
        PeerError: at the start, the ready line does not match PROTOCOL.md or does not arrive in time. At the end, the
            server does not exit with 0 in time, leaves its socket behind, or printed more than the ready line.
    """
    with private_folder() as folder:
        socket = folder / "server.sock"
        with ChildProcess((*peer.serve, "serve", "--socket", str(socket)), peer.folder) as process:
            implementation, version = read_ready_line(process, peer.name, socket, deadlines.ready)
            server = RunningServer(peer.name, socket, implementation, version, process)
            yield server
            _stop(server, deadlines.stop)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Create a folder whose path is short enough for a socket, and remove it at the end."""
    folder = tempfile.mkdtemp(prefix="interop-")
    if len(os.fsencode(folder)) > _MAX_FOLDER_BYTES:
        shutil.rmtree(folder)
        folder = tempfile.mkdtemp(prefix="interop-", dir="/tmp")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


def read_ready_line(process: ChildProcess, name: str, socket: Path, seconds: float) -> tuple[str, str]:
    """Wait for the ready line, and return its implementation and version.

    Raises:
        PeerError: the line does not match PROTOCOL.md, or does not arrive in time.
    """
    try:
        line = process.read_line(seconds)
    except TimeoutError:
        raise PeerError(process.explain(f"server {name} was not ready after {seconds:g} s")) from None
    if not line:
        raise PeerError(process.explain(f"server {name} {process.how_it_ended()} before it was ready"))
    with suppress(ValueError):
        match json.loads(line):
            case {
                "event": "ready",
                "address": str(address),
                "pid": int(),
                "implementation": str(implementation),
                "version": str(version),
            } if address == f"unix:{socket}" and implementation and version:
                return implementation, version
    expected = f'{{"event":"ready","address":"unix:{socket}","pid":1,"implementation":"...","version":"..."}}'
    raise PeerError(process.explain(f"server {name} printed {quoted(line)} instead of the ready line {expected}"))


def _stop(server: RunningServer, seconds: float) -> None:
    server.check()
    process = server.process
    process.terminate()
    try:
        code = process.wait(seconds)
    except TimeoutError:
        raise PeerError(
            process.explain(f"server {server.name} still ran {seconds:g} s after SIGTERM; it was killed")
        ) from None
    if code != 0:
        raise PeerError(process.explain(f"server {server.name} exited with code {code} after SIGTERM instead of 0"))
    if server.socket.exists():
        raise PeerError(process.explain(f"server {server.name} left its socket behind after SIGTERM"))
    if line := _rest_of_stdout(process):
        raise PeerError(f"server {server.name} printed {quoted(line)} on stdout after the ready line")


def _rest_of_stdout(process: ChildProcess) -> str:
    try:
        return process.read_line(0)
    except TimeoutError:  # a process that the server started holds stdout open, and is about to be killed
        return ""
