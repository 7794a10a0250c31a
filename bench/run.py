"""Runs contenders against each other: for each work, one after the other in a shuffled order, again and again."""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.calls import Timing
from bench.contenders import Contender
from bench.pair import BenchError, Pair
from bench.works import Work
from samehost_interop.peers import Peer

IDLE_CONNECTIONS = (1, 100, 1000)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    works: Sequence[Work]
    starts: int
    """How often all processes are started anew: two runs of a program are never laid out alike in memory."""
    seconds: float
    """How long each contender does a work."""


@dataclass
class Results:
    """What all contenders did; each list has one entry for each start."""

    timings: dict[tuple[Contender, Work], list[Timing | None]] = field(default_factory=lambda: defaultdict(list))
    server_start: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))
    first_call: dict[Contender, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory_kib: dict[Contender, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """What a server takes with so many idle connections."""
    faults: list[str] = field(default_factory=list)


def run(contenders: Sequence[Contender], plan: Plan, peers: dict[str, Peer], tell: Callable[[str], None]) -> Results:
    """Measures; what fails is among the faults, and leaves a None, so that the entries of one start stay together."""
    results = Results()
    order = random.Random()  # noqa: S311 - no secret
    for start in range(plan.starts):
        with ExitStack() as stack:
            pairs = []
            for contender in order.sample(contenders, len(contenders)):
                tell(f"start {start + 1} of {plan.starts}: {contender}")
                try:
                    pair = stack.enter_context(Pair.running(contender, _folder(stack), peers))
                except BenchError as error:
                    results.faults.append(str(error))
                    continue
                results.server_start[contender].append(pair.server_start_seconds)
                results.first_call[contender].append(pair.first_call_seconds)
                pairs.append(pair)
            # Upwards: glibc keeps more freed memory for good once a process has freed a larger block, so that plain
            # grpcio makes twice as many calls of 1 MiB after a single one of 4 MiB.
            for work in sorted(order.sample(plan.works, len(plan.works)), key=lambda work: work.bytes):
                tell(f"start {start + 1} of {plan.starts}: {work}")
                for pair in order.sample(pairs, len(pairs)):
                    if pair.contender.does(work):
                        results.timings[pair.contender, work].append(_measure(pair, work, plan.seconds, results))
    return results


def measure_memory(
    contenders: Sequence[Contender], peers: dict[str, Peer], results: Results, tell: Callable[[str], None]
) -> None:
    """Adds what the servers take in memory while clients are connected and do nothing."""
    for contender in contenders:
        tell(f"idle connections: {contender}")
        with ExitStack() as stack:
            try:
                pair = stack.enter_context(Pair.running(contender, _folder(stack), peers))
                there = 1
                for wanted in IDLE_CONNECTIONS:
                    pair.connect(wanted - there)
                    there = wanted
                    results.memory_kib[contender][wanted] = pair.server_memory_kib()
            except BenchError as error:
                results.faults.append(str(error))


def _measure(pair: Pair, work: Work, seconds: float, results: Results) -> Timing | None:
    try:
        return pair.measure(work, seconds)
    except BenchError as error:
        results.faults.append(str(error))
        return None


def _folder(stack: ExitStack) -> Path:
    """A folder of its own for each pair, with a short name, whatever the system's is: a path has 107 bytes at most."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp")))
