"""Runs the contenders in turns, in a new random order for each turn of each work.

Turns are short, and all other contenders are paused. The speed of a virtual machine changes within seconds, so two
contenders can only be compared within the same seconds. Each work starts new processes, because earlier work changes
how the allocator of a process behaves. It does so at least twice, because the memory layout of a program differs each
time. Only servers that compile at run time keep running from work to work.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.calls import Timing
from bench.contenders import Contender
from bench.pair import BenchError, Pair
from bench.works import MAIN, Work
from samehost_interop.peers import Peer

IDLE_CONNECTIONS = (1, 100, 1000)

_WARM_UP_SECONDS = 1.0
"""How long a server that compiles at run time is called before the measurement."""


@dataclass(frozen=True)
class Plan:
    """The amount of measurement."""

    works: Sequence[Work]
    rounds: int
    """How often each work starts new processes."""
    turns: int
    """How many turns each contender has in a round."""
    seconds: float
    """The duration of a turn."""


@dataclass
class Results:
    """The results of all contenders. Each list of timings has one entry for each turn, which is None if it failed."""

    timings: dict[tuple[Contender, Work], list[Timing | None]] = field(default_factory=lambda: defaultdict(list))
    cold_start: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from the start of the processes to the first call, for each start."""
    memory_kib: dict[Contender, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """The memory of a server by the number of idle connections."""
    faults: list[str] = field(default_factory=list)


def run(contenders: Sequence[Contender], plan: Plan, peers: dict[str, Peer], tell: Callable[[str], None]) -> Results:
    """Measure all works. Failures are listed in `faults`."""
    results = Results()
    order = random.Random()  # noqa: S311 - not secret
    for count in range(1, plan.rounds + 1):
        with ExitStack() as round_ends:
            pairs = _start([each for each in contenders if each.compiles], peers, results, round_ends)
            for contender in pairs:
                _turn(pairs, contender, MAIN[0], _WARM_UP_SECONDS, results)
            for work in order.sample(plan.works, len(plan.works)):
                tell(f"round {count} of {plan.rounds}: {work}")
                doers = [contender for contender in contenders if contender.does(work)]
                with ExitStack() as work_ends:
                    pairs |= _start([each for each in doers if not each.compiles], peers, results, work_ends)
                    for contender in (each for _ in range(plan.turns) for each in order.sample(doers, len(doers))):
                        timing = _turn(pairs, contender, work, plan.seconds, results)
                        results.timings[contender, work].append(timing)
    return results


def measure_memory(
    contenders: Sequence[Contender], peers: dict[str, Peer], results: Results, tell: Callable[[str], None]
) -> None:
    """Measure the memory of the servers with idle connections."""
    for contender in contenders:
        tell(f"idle connections: {contender}")
        try:
            with _running(contender, peers, results) as pair:
                there = 1
                for wanted in IDLE_CONNECTIONS:
                    pair.connect(wanted - there)
                    there = wanted
                    results.memory_kib[contender][wanted] = pair.server_memory_kib()
        except BenchError as error:
            results.faults.append(str(error))


@contextmanager
def _running(contender: Contender, peers: dict[str, Peer], results: Results) -> Iterator[Pair]:
    """Start a pair of new processes."""
    # In /tmp, because the system's temporary folder may be too long for a socket path of 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder,
        Pair.running(contender, Path(folder), peers) as pair,
    ):
        results.cold_start[contender].append(pair.cold_start_seconds)
        yield pair


def _start(
    contenders: Sequence[Contender], peers: dict[str, Peer], results: Results, until: ExitStack
) -> dict[Contender, Pair | None]:
    """Start and pause contenders one after the other. The result is None for one that failed."""
    pairs: dict[Contender, Pair | None] = {}
    for contender in contenders:
        try:
            pair = until.enter_context(_running(contender, peers, results))
        except BenchError as error:
            results.faults.append(str(error))
            pairs[contender] = None
        else:
            pair.pause()
            pairs[contender] = pair
    return pairs


def _turn(
    pairs: dict[Contender, Pair | None], contender: Contender, work: Work, seconds: float, results: Results
) -> Timing | None:
    """Run one contender while all others are paused. After a failure it has no more turns."""
    pair = pairs[contender]
    if pair is None:
        return None
    pair.resume()
    try:
        return pair.measure(work, seconds)
    except BenchError as error:
        results.faults.append(str(error))
        pairs[contender] = None
        return None
    finally:
        pair.pause()
