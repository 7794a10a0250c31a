"""Runs the server and the client of a contender, each in its own process, and sends commands to the client."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from bench.calls import Timing
from bench.contenders import Contender
from bench.works import Work
from samehost_interop.child_process import ChildProcess
from samehost_interop.errors import PeerError
from samehost_interop.peers import Peer

_SECONDS = 60.0
"""How long a start or the slowest call may take, in addition to the measured time."""


class BenchError(Exception):
    """A contender did not start, did not answer, or gave a wrong answer."""


class Pair:
    """A server that is ready, and a client that has made its first call."""

    def __init__(self, contender: Contender, server: ChildProcess, client: ChildProcess, commands: int) -> None:
        self.contender = contender
        self._server = server
        self._client = client
        self._commands = commands

    @classmethod
    @contextmanager
    def running(cls, contender: Contender, folder: Path, peers: dict[str, Peer]) -> Iterator[Self]:
        """Start both processes at the same time, and kill them at the end.

        Raises:
            BenchError: one of them does not start.
        """
        address = str(folder / "bench.sock") if contender.transport == "unix" else "127.0.0.1:0"
        fifo = folder / "commands"
        os.mkfifo(fifo)
        # Also for reading, so that open does not wait for the client.
        commands = os.open(fifo, os.O_RDWR)
        try:
            begun = time.monotonic()
            with (
                ChildProcess(*_server_command(contender, address, peers)) as server,
                ChildProcess(
                    _own("call", contender.client.to_json(), str(server.pid), str(fifo)), Path.cwd()
                ) as client,
            ):
                pair = cls(contender, server, client, commands)
                ready = pair._answer(server, "its start", _SECONDS)
                pair._ask("its first call", _SECONDS, address=ready["address"].removeprefix("unix:"))
                pair.cold_start_seconds = time.monotonic() - begun
                yield pair
        except PeerError as error:
            raise BenchError(f"{contender}: {error}") from error
        finally:
            os.close(commands)

    cold_start_seconds: float
    """From the start of both processes until the first call is answered."""

    def pause(self) -> None:
        """Pause both processes."""
        self._client.pause()
        self._server.pause()

    def resume(self) -> None:
        """Resume both processes."""
        self._server.resume()
        self._client.resume()

    def measure(self, work: Work, seconds: float) -> Timing:
        """Measure a work for some seconds.

        Raises:
            BenchError: a call failed, or its answer is wrong.
        """
        return Timing(**self._ask(str(work), _SECONDS + seconds, work=asdict(work), seconds=seconds))

    def connect(self, more: int) -> None:
        """Open more connections from the client, and make a call on each."""
        self._ask(f"{more} more connections", _SECONDS, connections=more)

    def server_memory_kib(self) -> int:
        """Return the resident memory of the server, including shared libraries (VmRSS in proc(5))."""
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def _ask(self, what: str, limit: float, **request: object) -> dict[str, Any]:
        os.write(self._commands, json.dumps(request).encode() + b"\n")
        return self._answer(self._client, what, limit)

    def _answer(self, process: ChildProcess, what: str, limit: float) -> dict[str, Any]:
        named = f"{self.contender}: {what}"
        try:
            line = process.read_line(limit)
        except TimeoutError:
            raise BenchError(process.explain(f"{named}: no answer after {limit:g} s")) from None
        if not line:
            raise BenchError(process.explain(f"{named}: the process {process.how_it_ended()}"))
        answer: dict[str, Any] = json.loads(line)
        if "fault" in answer:
            raise BenchError(f"{named}: {answer['fault']}")
        return answer


def _server_command(contender: Contender, address: str, peers: dict[str, Peer]) -> tuple[tuple[str, ...], Path]:
    if contender.peer is None:
        return _own("serve", contender.client.to_json(), address), Path.cwd()
    peer = peers[contender.peer]
    return (*peer.serve, "serve", "--socket", address), peer.folder


def _own(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "bench.end", *words)
