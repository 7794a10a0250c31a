"""What a contender's client can do, and how it is timed; each call says how many bytes arrived, and is checked."""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from bench.works import Work

_Answer_co = TypeVar("_Answer_co", covariant=True)

_CALLS = 1
"""How many calls each caller makes at least, however long they take."""

_WARM_UP_SECONDS = 0.03
"""For which each caller calls before it is timed, as the processes were paused, and may have to connect anew."""


class KindsOfCall(Protocol[_Answer_co]):
    """A client; every method answers with the number of bytes that came back, or that the server counted."""

    def unary(self, body: bytes) -> _Answer_co:
        """Sends a body and takes as many bytes in return."""

    def server_stream(self, size: int, count: int) -> _Answer_co:
        """Takes a stream of bodies."""

    def client_stream(self, body: bytes, count: int) -> _Answer_co:
        """Sends a stream of bodies, and is told how many bytes arrived."""

    def bidirectional(self, body: bytes, count: int) -> _Answer_co:
        """Sends each body when the last one was answered."""


Calls = KindsOfCall[int]
AsyncCalls = KindsOfCall[Awaitable[int]]

Client = AbstractContextManager[Calls]
AsyncClient = AbstractAsyncContextManager[AsyncCalls]


@dataclass(frozen=True)
class Timing:
    """What came of one work: how many messages in how many seconds, and seconds of processor time of both ends."""

    messages: int
    seconds: float
    p50_us: float
    p99_us: float
    cpu_seconds: float


class WrongAnswerError(Exception):
    """A contender did not answer what it was asked."""


def measure(calls: Calls, work: Work, seconds: float, server_pid: int) -> Timing:
    """Times a work: the first caller in this thread, as in a program that just calls, the others in their own."""
    body = bytes(work.bytes)
    times: list[float] = []
    faults: list[BaseException] = []
    clock = _Clock(seconds, server_pid)
    ready = threading.Barrier(work.callers, action=clock.start)

    def caller() -> None:
        try:
            while clock.warms_up():
                _check(work, _call(calls, work, body))
            ready.wait()
            own: list[float] = []
            while clock.runs(len(own)):
                begun = time.perf_counter()
                _check(work, _call(calls, work, body))
                own.append(time.perf_counter() - begun)
            times.extend(own)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            faults.append(error)
            ready.abort()

    threads = [threading.Thread(target=caller) for _ in range(work.callers - 1)]
    for thread in threads:
        thread.start()
    caller()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return clock.timing(work, times)


async def measure_async(calls: AsyncCalls, work: Work, seconds: float, server_pid: int) -> Timing:
    """Times a work: the first caller in this task, as in a program that just calls, the others in their own."""
    body = bytes(work.bytes)
    times: list[float] = []
    faults: list[BaseException] = []
    clock = _Clock(seconds, server_pid)
    ready = asyncio.Barrier(work.callers)

    async def caller() -> None:
        try:
            while clock.warms_up():
                _check(work, await _call(calls, work, body))
            if await ready.wait() == work.callers - 1:  # the last to come is the first to go on
                clock.start()
            own: list[float] = []
            while clock.runs(len(own)):
                begun = time.perf_counter()
                _check(work, await _call(calls, work, body))
                own.append(time.perf_counter() - begun)
            times.extend(own)
        except Exception as error:  # noqa: BLE001 - told by the task that waits
            faults.append(error)
            await ready.abort()

    others = asyncio.gather(*(caller() for _ in range(work.callers - 1)))
    await caller()
    await others
    if faults:
        raise faults[0]
    return clock.timing(work, times)


class _Clock:
    """When the callers begin and end, and what both processes spend between."""

    def __init__(self, seconds: float, server_pid: int) -> None:
        self._seconds = seconds
        self._server_pid = server_pid
        self._warm = time.perf_counter() + _WARM_UP_SECONDS

    def warms_up(self) -> bool:
        return time.perf_counter() < self._warm

    def start(self) -> None:
        self._cpu = self._spent()
        self._begun = time.perf_counter()

    def runs(self, calls: int) -> bool:
        return calls < _CALLS or time.perf_counter() < self._begun + self._seconds

    def timing(self, work: Work, times: list[float]) -> Timing:
        seconds = time.perf_counter() - self._begun
        ordered = sorted(time / work.messages * 1e6 for time in times)
        return Timing(
            messages=len(times) * work.messages,
            seconds=seconds,
            p50_us=statistics.median(ordered),
            p99_us=ordered[len(ordered) * 99 // 100],
            cpu_seconds=self._spent() - self._cpu,
        )

    def _spent(self) -> float:
        # proc(5): the fields after the command's name, which alone may have spaces; utime is the 14th, stime the 15th.
        fields = Path(f"/proc/{self._server_pid}/stat").read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _call(calls: KindsOfCall[_Answer_co], work: Work, body: bytes) -> _Answer_co:
    match work.kind:
        case "unary":
            return calls.unary(body)
        case "server_stream":
            return calls.server_stream(work.bytes, work.messages)
        case "client_stream":
            return calls.client_stream(body, work.messages)
        case "bidirectional":
            return calls.bidirectional(body, work.messages)


def _check(work: Work, arrived: int) -> None:
    expected = work.bytes * work.messages
    if arrived != expected:
        raise WrongAnswerError(f"{work}: expected {expected} bytes, got {arrived}")


Ready = Callable[[str], None]
"""What a server calls with its address when calls succeed."""
