"""Runs contenders against each other: for each work, one after the other in a shuffled order, again and again.

Each work is done by processes that are started for it, but for servers that compile while they run: what a process
did before changes how its allocator behaves, two runs of a program are never laid out alike in memory, and nobody else
is to run while one is measured.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
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

    rounds: Sequence[Sequence[Work]]
    """The works of each round, which every contender does once."""
    seconds: float
    """How long it does each."""


@dataclass
class Results:
    """What all contenders did; each list of timings has one entry for each round."""

    timings: dict[tuple[Contender, Work], list[Timing | None]] = field(default_factory=lambda: defaultdict(list))
    cold_start: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds until the first call, of all processes that were started."""
    memory_kib: dict[Contender, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """What a server takes with so many idle connections."""
    faults: list[str] = field(default_factory=list)


def run(contenders: Sequence[Contender], plan: Plan, peers: dict[str, Peer], tell: Callable[[str], None]) -> Results:
    """Measures; what fails is among the faults, and leaves a None, so that the entries of one round stay together."""
    results = Results()
    order = random.Random()  # noqa: S311 - no secret
    for count, works in enumerate(plan.rounds, 1):
        with ExitStack() as stack:
            lasting = {
                contender: _warm(contender, peers, results, stack) for contender in contenders if contender.compiles
            }
            for work in order.sample(works, len(works)):
                tell(f"round {count} of {len(plan.rounds)}: {work}")
                doers = [contender for contender in contenders if contender.does(work)]
                for contender in order.sample(doers, len(doers)):
                    lasts = contender in lasting
                    running = nullcontext(lasting[contender]) if lasts else _running(contender, peers, results)
                    results.timings[contender, work].append(_measure(running, work, plan.seconds, results))
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


def _warm(contender: Contender, peers: dict[str, Peer], results: Results, stack: ExitStack) -> Pair | None:
    """A pair that lasts as long as the stack and has been called for a while; None where that failed."""
    try:
        pair = stack.enter_context(_running(contender, peers, results))
        pair.measure(MAIN[0], _WARM_UP_SECONDS)
    except BenchError as error:
        results.faults.append(str(error))
        return None
    return pair


def _measure(
    running: AbstractContextManager[Pair | None], work: Work, seconds: float, results: Results
) -> Timing | None:
    try:
        with running as pair:
            return pair.measure(work, seconds) if pair else None
    except BenchError as error:
        results.faults.append(str(error))
        return None
