"""Runs sixteen callers on one channel, with small and large unary calls and streams, and checks each answer."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from faults.service import ID_BYTES
from samehost.interop import testing_pb2, testing_pb2_grpc
from samehost_client import connect

SMALL_BYTES = 64
LARGE_BYTES = 1 << 20
STREAM_RESPONSES = 20
SMALL_CALLERS, LARGE_CALLERS, STREAM_CALLERS = 8, 4, 4

CALL_SECONDS = 30.0
"""The deadline of every call. A call that does not end by then hangs."""

_HANG_SECONDS = CALL_SECONDS + 5

_CUT = "Broken pipe"
"""C-core's details if its client writes to a connection that the server has closed. The client then drops what the
server has sent before: that it never started the call, or even the answer."""


@dataclass
class Tally:
    """The results of the calls."""

    calls: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    """Calls that failed because their client wrote to a connection that was just closed."""
    first_failures: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    """The end of each successful call, on the clock of time.monotonic."""
    succeeded: set[bytes] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def failure(self, kind: str, error: grpc.RpcError) -> None:
        """Count a failed call."""
        with self.lock:
            self.failed[f"{kind} {error.code().name}"] += 1
            self.cut += error.code() is grpc.StatusCode.UNAVAILABLE and _CUT in (error.details() or "")
            self.first_failures.setdefault(kind, f"{error.code().name} {error.details()!r}")

    def success(self, kind: str, identity: bytes | None, answer_fault: str) -> None:
        """Count a call with an answer, and record the fault of a wrong answer."""
        with self.lock:
            self.calls[kind] += 1
            self.ended.append(time.monotonic())
            if identity:
                self.succeeded.add(identity)
            if answer_fault:
                self.wrong.append(answer_fault)


@contextmanager
def calling(path: Path, *, wait_for_ready: bool, stream_seconds: float, idempotent: Sequence[str]) -> Iterator[Tally]:
    """Make calls from many threads until the context ends, and then wait for the calls in progress."""
    tally = Tally()
    enough = threading.Event()
    with connect(path, wait=CALL_SECONDS, idempotent=idempotent) as channel:
        stub = testing_pb2_grpc.TestServiceStub(channel)

        def unary(kind: str, size: int) -> None:
            identity = os.urandom(ID_BYTES)
            body = identity + bytes(size - ID_BYTES)
            request = testing_pb2.SimpleRequest(payload=testing_pb2.Payload(body=body))
            try:
                response = stub.UnaryCall(request, timeout=CALL_SECONDS, wait_for_ready=wait_for_ready)
            except grpc.RpcError as error:
                tally.failure(kind, error)
            else:
                fault = "" if response.payload.body == body else f"{kind}: the response has another payload"
                tally.success(kind, identity, fault)

        def stream() -> None:
            interval = int(stream_seconds / STREAM_RESPONSES * 1e6)
            each = testing_pb2.ResponseParameters(size=SMALL_BYTES, interval_us=interval)
            request = testing_pb2.StreamingOutputCallRequest(response_parameters=[each] * STREAM_RESPONSES)
            try:
                count = sum(
                    len(response.payload.body) == SMALL_BYTES
                    for response in stub.StreamingOutputCall(
                        request, timeout=CALL_SECONDS, wait_for_ready=wait_for_ready
                    )
                )
            except grpc.RpcError as error:
                tally.failure("stream", error)
            else:
                fault = "" if count == STREAM_RESPONSES else f"stream: {count} of {STREAM_RESPONSES} responses arrived"
                tally.success("stream", None, fault)

        threads = [
            *(_caller(enough, lambda: unary("64 B", SMALL_BYTES)) for _ in range(SMALL_CALLERS)),
            *(_caller(enough, lambda: unary("1 MiB", LARGE_BYTES)) for _ in range(LARGE_CALLERS)),
            *(_caller(enough, stream) for _ in range(STREAM_CALLERS)),
        ]
        try:
            yield tally
        finally:
            enough.set()
            for thread in threads:
                thread.join(_HANG_SECONDS)
            if hanging := sum(thread.is_alive() for thread in threads):
                tally.wrong.append(f"{hanging} calls hang after their deadline of {CALL_SECONDS:g} s")


def _caller(enough: threading.Event, call: Callable[[], None]) -> threading.Thread:
    def call_again_and_again() -> None:
        while not enough.is_set():
            call()

    thread = threading.Thread(target=call_again_and_again, daemon=True)
    thread.start()
    return thread
