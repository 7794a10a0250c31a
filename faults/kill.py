"""Kills and restarts a server repeatedly under load. Calls succeed or fail with UNAVAILABLE."""

import random
import statistics
import threading
import time
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

from faults import load
from faults.resources import resources
from faults.servers import start

_STREAM_SECONDS = 1.0

_EXPECTED = {"app.sock", "app.sock.lock", "app.sock.takeover", "journal"}
"""The files that the last server leaves, which is killed too."""


def run(kind: str, seconds: float, seed: int, retrying: bool, folder: Path) -> dict[str, Any]:
    """Kill a server every 0.5 to 2 s, and report the results of the calls.

    Args:
        kind: `sync` or `aio`.
        seconds: the duration of the run.
        seed: the seed of the intervals.
        retrying: list unary calls as idempotent, so that they are retried.
        folder: a new folder.
    """
    path, journal = folder / "app.sock", folder / "journal"
    journal.touch()
    before = resources()
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    pace = threading.Event()
    idempotent = ["grpc.testing.TestService/UnaryCall"] if retrying else []
    restarts: list[float] = []
    server = start(kind, path, journal)
    try:
        with load.calling(path, wait_for_ready=True, stream_seconds=_STREAM_SECONDS, idempotent=idempotent) as tally:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pace.wait(chance.uniform(0.5, 2.0))
                with server:
                    server.kill()
                server = start(kind, path, journal)
                restarts.append(time.monotonic())
    finally:
        with server:
            server.kill()
    written = Counter(journal.read_text().split())
    identities = {identity.hex() for identity in tally.succeeded}
    left = sorted(entry.name for entry in folder.iterdir() if entry.name not in _EXPECTED)
    recovered = _recovered_after(restarts, sorted(tally.ended))
    return {
        "kind": kind,
        "retrying": retrying,
        "seed": seed,
        "kills": len(restarts),
        "seconds": seconds,
        "calls": dict(tally.calls),
        "failed": dict(tally.failed),
        "wrong": tally.wrong,
        "first_failures": tally.first_failures,
        # A retried call may take effect twice, so only idempotent calls are retried.
        "twice": 0 if retrying else sum(count > 1 for count in written.values()),
        "answered_without_effect": len(identities - set(written)),
        "recovered_after_s": {
            "p50": round(statistics.median(recovered), 3),
            "max": round(max(recovered), 3),
        },
        "left_in_folder": left,
        "before": before.as_json(),
        "after": resources().as_json(),
    }


def _recovered_after(restarts: list[float], ended: list[float]) -> list[float]:
    """Return the seconds from each restart except the last until the first call succeeded."""
    found = []
    for restart in restarts[:-1]:
        index = bisect_left(ended, restart)
        if index < len(ended):
            found.append(ended[index] - restart)
    return found or [0.0]
