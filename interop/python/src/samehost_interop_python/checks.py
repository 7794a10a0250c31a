"""Assertions of the official cases, for both kinds of client.

Each failure is one line with the expected and the actual value.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn, TypeAlias

import grpc

from samehost.interop import orca_load_report_pb2, testing_pb2
from samehost_interop_python import requests
from samehost_interop_python.compression import Received
from samehost_interop_python.orca import TRAILER

SOAK_ITERATIONS = 10
SOAK_ITERATION_SECONDS = 1.0
"""The defaults of the official clients, which allow no failure."""


REPORT_SECONDS = 10.0
"""How long an out-of-band report may take to arrive. The slowest interop servers send one each second."""

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]] | None


class CaseFailure(Exception):  # noqa: N818
    """A case failed."""


def equal(what: str, got: object, expected: object) -> None:
    """Fail unless two values are equal."""
    if got != expected:
        raise CaseFailure(f"{what}: expected {expected!r}, got {got!r}")


def empty(response: testing_pb2.Empty) -> None:
    """Fail unless a response has zero bytes."""
    equal("size of the response in bytes", response.ByteSize(), 0)


def payload(what: str, got: testing_pb2.Payload, size: int) -> None:
    """Fail unless a payload has the right type, size and content."""
    equal(f"payload type of {what}", got.type, testing_pb2.COMPRESSABLE)
    equal(f"payload size of {what}", len(got.body), size)
    if got.body != bytes(size):
        raise CaseFailure(f"payload of {what}: expected {size} zeros, got other bytes too")


def large(response: testing_pb2.SimpleResponse) -> None:
    """Fail unless a response is the one of large_unary."""
    payload("the response", response.payload, requests.LARGE_RESPONSE_BYTES)


def cached(first: testing_pb2.SimpleResponse, second: testing_pb2.SimpleResponse) -> None:
    """Fail unless both responses have the same payload."""
    equal("payload of the second response", second.payload.body, first.payload.body)


def aggregated(response: testing_pb2.StreamingInputCallResponse, sizes: Iterable[int]) -> None:
    """Fail unless a response is the sum of the request sizes."""
    equal("aggregated_payload_size", response.aggregated_payload_size, sum(sizes))


def outputs(responses: Sequence[testing_pb2.StreamingOutputCallResponse], sizes: Sequence[int]) -> None:
    """Fail unless the responses of a stream have these sizes, in this order."""
    equal("payload sizes of the responses", [len(each.payload.body) for each in responses], list(sizes))
    for number, (response, size) in enumerate(zip(responses, sizes, strict=True), start=1):
        payload(f"response {number}", response.payload, size)


def output(response: testing_pb2.StreamingOutputCallResponse | None, size: int) -> None:
    """Fail unless a stream has another response, and it has this size."""
    if response is None:
        raise CaseFailure(f"next response of the stream: expected one of {size} bytes, got the end of the stream")
    payload("the response", response.payload, size)


def end(response: testing_pb2.StreamingOutputCallResponse | None) -> None:
    """Fail if a stream has another response."""
    if response is not None:
        raise CaseFailure(f"end of the stream: expected no response, got one of {len(response.payload.body)} bytes")


def large_with_compression(received: Received[testing_pb2.SimpleResponse], *, compressed: bool) -> None:
    """Fail unless a response is the one of large_unary, and is compressed exactly if the request named it."""
    equal("compressed flag of the response", received.compressed, compressed)
    large(received.message)


def outputs_with_compression(received: Sequence[Received[testing_pb2.StreamingOutputCallResponse]]) -> None:
    """Fail unless a stream had the responses of server_compressed_streaming with the right compressed flags."""
    outputs([each.message for each in received], list(requests.COMPRESSED_RESPONSE_BYTES.values()))
    equal(
        "compressed flags of the responses",
        [each.compressed for each in received],
        list(requests.COMPRESSED_RESPONSE_BYTES),
    )


def echoes(initial: Metadata, trailing: Metadata) -> None:
    """Fail unless both metadata entries came back once: one in the initial metadata, one in the trailing metadata."""
    for what, metadata, (key, value) in (
        ("initial metadata", initial, requests.ECHO_INITIAL),
        ("trailing metadata", trailing, requests.ECHO_TRAILING),
    ):
        equal(f"{key} in {what}", values(metadata, key), [value])


def values(metadata: Metadata, key: str) -> list[str | bytes]:
    """Return the values of a key in the metadata of either kind of client, which may be None."""
    return [value for name, value in metadata or () if name == key]


def same_server(ids: Sequence[str]) -> None:
    """Fail unless all calls reached one server, and its id is not empty."""
    if not all(ids) or len(set(ids)) != 1:
        raise CaseFailure(f"server_id of {len(ids)} responses: expected one that is not empty, got {sorted(set(ids))}")


def reported_with_call(trailing: Metadata) -> None:
    """Fail unless the trailers of a call have the load report that its request named."""
    serialized = values(trailing, TRAILER)
    equal(f"number of {TRAILER} in the trailing metadata", len(serialized), 1)
    report = orca_load_report_pb2.OrcaLoadReport.FromString(bytes(serialized[0]))  # type: ignore[arg-type]
    equal("load report", report, requests.reported(requests.PER_CALL_REPORT))


class AwaitedReport:
    """An out-of-band load report that must arrive in time. Any number of older reports may precede it."""

    def __init__(self, report: testing_pb2.TestOrcaReport) -> None:
        self._expected = requests.reported(report)
        self._last = time.monotonic() + REPORT_SECONDS

    def is_this(self, report: orca_load_report_pb2.OrcaLoadReport) -> bool:
        """Return whether this report is the expected one. Fail if the time is over."""
        if report == self._expected:
            return True
        if time.monotonic() > self._last:
            equal(f"load report after {REPORT_SECONDS:g} s", report, self._expected)
        return False

    def never_came(self) -> NoReturn:
        """Fail, because the stream has ended."""
        raise CaseFailure(f"load report: expected {self._expected!r}, got the end of the stream")


class Soak:
    """Time the iterations of a soak test and count the failures."""

    def __init__(self) -> None:
        self._done = 0
        self._faults: list[str] = []

    def iterations(self) -> Iterator[int]:
        """Count the iterations. Stop early when the time for all of them is over."""
        last = time.monotonic() + SOAK_ITERATIONS * SOAK_ITERATION_SECONDS
        for number in range(1, SOAK_ITERATIONS + 1):
            if time.monotonic() > last:
                return
            yield number

    @contextlib.contextmanager
    def iteration(self) -> Iterator[None]:
        """Run one iteration. A failure is recorded and does not stop the test."""
        started = time.monotonic()
        try:
            yield
            if (seconds := time.monotonic() - started) > SOAK_ITERATION_SECONDS:
                self._faults.append(f"took {seconds * 1000:.0f} ms")
        except CaseFailure as failure:
            self._faults.append(str(failure))
        except grpc.RpcError as error:
            self._faults.append(describe(error))
        self._done += 1

    def verdict(self) -> None:
        """Fail unless all iterations ran and passed."""
        equal("number of iterations in time", self._done, SOAK_ITERATIONS)
        if self._faults:
            raise CaseFailure(f"failed iterations: expected none, got {len(self._faults)}, first: {self._faults[0]}")


@contextlib.contextmanager
def status(code: grpc.StatusCode, message: str | None = None) -> Iterator[None]:
    """Fail unless the call in this block ends with this status, and with this message if one is given."""
    try:
        yield
    except grpc.RpcError as error:
        equal("status code", error.code().name, code.name)
        if message is not None:
            equal("status message", error.details(), message)
    else:
        raise CaseFailure(f"status code: expected {code.name}, got OK")


_RESET = ("Received RST_STREAM", "Internal error from Core")
"""grpcio's details for a stream that the server has reset: of a read, and of a write in grpc.aio (aio/_call.py)."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Fail unless the call in this block ends at its deadline.

    If the server sees the deadline first, it resets the stream without a status. C-core reports DEADLINE_EXCEEDED then
    only if its own clock, which it reads once for several operations, is past the deadline too. Otherwise it reports
    CANCELLED or INTERNAL (grpc/grpc src/core/ext/transport/chttp2/transport/http2_status.h).
    """
    started = time.monotonic()
    try:
        yield
    except grpc.RpcError as error:
        reset = any(words in str(error.details()) for words in _RESET)
        # Half, because the timeout is rounded on its way to the server.
        if not reset or time.monotonic() - started < seconds / 2:
            equal(f"status code ({error.details()!r})", error.code().name, "DEADLINE_EXCEEDED")
    else:
        raise CaseFailure("status code: expected DEADLINE_EXCEEDED, got OK")


def echoed_status(status_: testing_pb2.EchoStatus) -> contextlib.AbstractContextManager[None]:
    """Fail unless the call in this block ends with the status that its request names."""
    return status(grpc.StatusCode.UNKNOWN, status_.message)


def describe(error: grpc.RpcError) -> str:
    """Describe an unexpected status in one line."""
    return f"status: expected OK, got {error.code().name} {error.details()!r}"
