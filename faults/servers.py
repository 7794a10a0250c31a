"""Starts the servers of a run."""

import json
import os
import sys
from pathlib import Path

from faults.service import JOURNAL
from samehost_interop.child_process import ChildProcess

READY_SECONDS = 30.0


class FaultError(Exception):
    """A fault, in one line with the expected and the actual result."""


def start(kind: str, path: Path, journal: Path, *options: str) -> ChildProcess:
    """Start a server with the journal, and return when it is ready. Leaving `with` kills it."""
    os.environ[JOURNAL] = str(journal)
    service, aio = ("journal", ()) if kind == "sync" else ("async_journal", ("--aio",))
    words = ["-m", "samehost_server", "--socket", str(path), "--services", f"faults.service:{service}", *aio, *options]
    process = ChildProcess([sys.executable, *words], Path.cwd())
    try:
        line = process.read_line(READY_SECONDS)
        if json.loads(line)["event"] != "ready":
            raise FaultError(process.explain(f"first line of a server: expected the ready line, got {line!r}"))
    except (TimeoutError, ValueError) as error:
        with process:
            raise FaultError(process.explain("a server was not ready")) from error
    return process
