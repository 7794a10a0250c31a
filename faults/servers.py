"""Servers of a run: programs that start, say that they are ready, and are replaced or killed."""

import json
import os
import sys
from pathlib import Path

from faults.service import JOURNAL
from samehost_interop.child_process import ChildProcess

READY_SECONDS = 30.0


class FaultError(Exception):
    """What must not happen has happened; one line says what was expected and what came."""


def start(kind: str, path: Path, journal: Path, *options: str) -> ChildProcess:
    """Starts a server of the journal and returns when it is ready; `with` ends it."""
    os.environ[JOURNAL] = str(journal)
    service, aio = ("journal", ()) if kind == "sync" else ("async_journal", ("--aio",))
    words = ["-m", "samehost_server", "--socket", str(path), "--services", f"faults.service:{service}", *aio, *options]
    process = ChildProcess([sys.executable, *words], Path.cwd())
    try:
        line = process.read_line(READY_SECONDS)
        if json.loads(line)["event"] != "ready":
            raise FaultError(process.explain(f"the first line of a server: expected the ready line, got {line!r}"))
    except (TimeoutError, ValueError) as error:
        with process:
            raise FaultError(process.explain("a server was not ready")) from error
    return process
