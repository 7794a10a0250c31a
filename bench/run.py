"""Runs contenders against each other: for each work they take turns, in an order that is shuffled anew each time.

Turns are short, and whoever does not have one is paused: a virtual machine's speed changes within seconds, so that two
contenders can only be compared where both had the same seconds. Each work is begun by new processes, as what a process
did before changes how its allocator behaves, and twice or more, as two runs of a program are never laid out alike in
memory. Only servers that compile while they run are kept from work to work.
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
"""For which a server that compiles while it runs is called, once, before anything is measured."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    works: Sequence[Work]
    rounds: int
    """How often new processes begin each work."""
    turns: int
    """How often each contender does it in a round."""
    seconds: float
    """How long a turn takes."""


@dataclass
class Results:
    """What all contenders did; each list of timings has one entry for each turn, None where it failed."""

    timings: dict[tuple[Contender, Work], list[Timing | None]] = field(default_factory=lambda: defaultdict(list))
    cold_start: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds until the first call, of all processes that were started."""
    memory_kib: dict[Contender, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """What a server takes with so many idle connections."""
    faults: list[str] = field(default_factory=list)


def run(contenders: Sequence[Contender], plan: Plan, peers: dict[str, Peer], tell: Callable[[str], None]) -> Results:
    """Measures; what fails is among the faults."""
    results = Results()
    order = random.Random()  # noqa: S311 - no secret
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
    """Adds what the servers take in memory while clients are connected and do nothing."""
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
    """A pair of new processes."""
    # A short name, whatever the system's is: the path of a socket has 107 bytes at most.
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder,
        Pair.running(contender, Path(folder), peers) as pair,
    ):
        results.cold_start[contender].append(pair.cold_start_seconds)
        yield pair


def _start(
    contenders: Sequence[Contender], peers: dict[str, Peer], results: Results, until: ExitStack
) -> dict[Contender, Pair | None]:
    """Starts and pauses them, one after the other; None where that failed."""
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
    """Lets one contender work while all others are paused; one that fails has no more turns."""
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
