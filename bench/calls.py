"""Defines the calls of a contender's client, and measures their time. The number of bytes of each answer is checked."""

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
"""The minimum number of calls of each caller."""

_WARM_UP_SECONDS = 0.03
"""How long each caller makes calls before the measurement, because a paused process may have to reconnect."""


class KindsOfCall(Protocol[_Answer_co]):
    """A client. Every method returns the number of bytes that the client received or that the server counted."""

    def unary(self, body: bytes) -> _Answer_co:
        """Send a body, and receive one of the same size."""

    def server_stream(self, size: int, count: int) -> _Answer_co:
        """Receive a stream of bodies."""

    def client_stream(self, body: bytes, count: int) -> _Answer_co:
        """Send a stream of bodies, and receive the number of bytes that arrived."""

    def bidirectional(self, body: bytes, count: int) -> _Answer_co:
        """Send each body after the answer to the previous one."""


Calls = KindsOfCall[int]
AsyncCalls = KindsOfCall[Awaitable[int]]

Client = AbstractContextManager[Calls]
AsyncClient = AbstractAsyncContextManager[AsyncCalls]


@dataclass(frozen=True)
class Timing:
    """The result of one work: the number of messages, the seconds, and the CPU seconds of both processes."""

    messages: int
    seconds: float
    p50_us: float
    p99_us: float
    cpu_seconds: float


class WrongAnswerError(Exception):
    """A contender gave a wrong answer."""


def measure(calls: Calls, work: Work, seconds: float, server_pid: int) -> Timing:
    """Measure a work. The first caller runs in this thread, like in a simple program, the others in their own."""
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
        except BaseException as error:  # noqa: BLE001 - raised again in the first thread
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
    """Measure a work. The first caller runs in this task, like in a simple program, the others in their own."""
    body = bytes(work.bytes)
    times: list[float] = []
    faults: list[BaseException] = []
    clock = _Clock(seconds, server_pid)
    ready = asyncio.Barrier(work.callers)

    async def caller() -> None:
        try:
            while clock.warms_up():
                _check(work, await _call(calls, work, body))
            if await ready.wait() == work.callers - 1:  # the last task at the barrier continues first
                clock.start()
            own: list[float] = []
            while clock.runs(len(own)):
                begun = time.perf_counter()
                _check(work, await _call(calls, work, body))
                own.append(time.perf_counter() - begun)
            times.extend(own)
        except Exception as error:  # noqa: BLE001 - raised again in the first task
            faults.append(error)
            await ready.abort()

    others = asyncio.gather(*(caller() for _ in range(work.callers - 1)))
    await caller()
    await others
    if faults:
        raise faults[0]
    return clock.timing(work, times)


class _Clock:
    """Measures the time of the callers, and the CPU time of both processes."""

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
        # proc(5): the fields after the name of the command, which may have spaces. utime is field 14, stime field 15.
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
"""A server calls this with its address when it is ready."""
