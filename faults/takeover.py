"""Lets servers take over the path one after the other under load. No call fails."""

import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults import load
from faults.resources import resources
from faults.servers import FaultError, start

if TYPE_CHECKING:
    from samehost_interop.child_process import ChildProcess

_EVERY_SECONDS = 1.0
_STREAM_SECONDS = 10.0
_GRACE = "20"
"""Seconds. More than a stream takes, so that each server finishes its streams."""

_GONE_SECONDS = 40.0


def run(kind: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Take over once a second, and report the results of the calls.

    Raises:
        FaultError: a server does not start, or does not exit after it was taken over.
    """
    path, journal = folder / "app.sock", folder / "journal"
    before = resources()
    pace = threading.Event()
    going: deque[ChildProcess] = deque()
    current = start(kind, path, journal, "--grace", _GRACE)
    takeovers = 0
    try:
        with load.calling(path, wait_for_ready=False, stream_seconds=_STREAM_SECONDS, idempotent=[]) as tally:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                begun = time.monotonic()
                successor = start(kind, path, journal, "--takeover", "--grace", _GRACE)
                takeovers += 1
                going.append(current)
                current = successor
                pace.wait(max(0.0, _EVERY_SECONDS - (time.monotonic() - begun)))
        for server in going:
            if (code := server.wait(_GONE_SECONDS)) != 0:
                raise FaultError(server.explain(f"exit code of a server that was taken over: expected 0, got {code}"))
    except TimeoutError:
        raise FaultError(f"a server that was taken over still runs after {_GONE_SECONDS:g} s") from None
    finally:
        for server in (*going, current):
            with server:
                pass
    return {
        "kind": kind,
        "takeovers": takeovers,
        "seconds": seconds,
        "calls": dict(tally.calls),
        "failed": dict(tally.failed),
        "cut": tally.cut,
        "wrong": tally.wrong,
        "first_failures": tally.first_failures,
        "before": before.as_json(),
        "after": resources().as_json(),
    }
