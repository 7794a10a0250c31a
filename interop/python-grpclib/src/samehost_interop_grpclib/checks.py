"""Assertions of the official cases. Each failure is one line with the expected and the actual value."""

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost.interop import testing_pb2 as pb
from samehost.interop.orca_load_report_pb2 import OrcaLoadReport
from samehost_interop_grpclib import requests
from samehost_interop_grpclib.orca import TRAILER, load_report
from samehost_interop_grpclib.statuses import statuses

if TYPE_CHECKING:
    from multidict import MultiDict

    Metadata: TypeAlias = MultiDict[str | bytes] | None

SOAK_ITERATIONS = 10
SOAK_ITERATION_SECONDS = 1.0
"""The defaults of the official clients, which allow no failure."""

_REPORT_SECONDS = 10.0
"""How long an out-of-band report may take to arrive. The slowest interop servers send one each second."""


class CaseFailure(Exception):  # noqa: N818
    """A case failed."""


def equal(what: str, got: object, expected: object) -> None:
    """Fail unless two values are equal."""
    if got != expected:
        raise CaseFailure(f"{what}: expected {expected!r}, got {got!r}")


def empty(response: pb.Empty) -> None:
    """Fail unless a response has zero bytes."""
    equal("size of the response in bytes", response.ByteSize(), 0)


def payload(what: str, got: pb.Payload, size: int) -> None:
    """Fail unless a payload has the right type, size and content."""
    equal(f"payload type of {what}", got.type, pb.COMPRESSABLE)
    equal(f"payload size of {what}", len(got.body), size)
    if got.body != bytes(size):
        raise CaseFailure(f"payload of {what}: expected {size} zeros, got other bytes too")


def large(response: pb.SimpleResponse | None) -> None:
    """Fail unless a response is the one of large_unary."""
    if response is None:
        raise CaseFailure("response: expected one, got the end of the call")
    payload("the response", response.payload, requests.LARGE_RESPONSE_BYTES)


def aggregated(response: pb.StreamingInputCallResponse | None, sizes: Iterable[int]) -> None:
    """Fail unless a response is the sum of the request sizes."""
    equal("aggregated_payload_size", response and response.aggregated_payload_size, sum(sizes))


def outputs(responses: Sequence[pb.StreamingOutputCallResponse], sizes: Collection[int]) -> None:
    """Fail unless the responses of a stream have these sizes, in this order."""
    equal("payload sizes of the responses", [len(each.payload.body) for each in responses], list(sizes))
    for number, (response, size) in enumerate(zip(responses, sizes, strict=True), start=1):
        payload(f"response {number}", response.payload, size)


def output(response: pb.StreamingOutputCallResponse | None, size: int) -> None:
    """Fail unless a stream has another response, and it has this size."""
    if response is None:
        raise CaseFailure(f"next response of the stream: expected one of {size} bytes, got the end of the stream")
    payload("the response", response.payload, size)


def end(response: pb.StreamingOutputCallResponse | None) -> None:
    """Fail if a stream has another response."""
    if response is not None:
        raise CaseFailure(f"end of the stream: expected no response, got one of {len(response.payload.body)} bytes")


def outputs_with_compression(received: Sequence[tuple[pb.StreamingOutputCallResponse, bool]]) -> None:
    """Fail unless a stream had the responses of server_compressed_streaming with the right compressed flags."""
    sizes: Mapping[bool, int] = requests.COMPRESSED_RESPONSE_BYTES
    outputs([response for response, _ in received], sizes.values())
    equal("compressed flags of the responses", [compressed for _, compressed in received], list(sizes))


def echoes(initial: "Metadata", trailing: "Metadata") -> None:
    """Fail unless both metadata entries came back once: one in the initial metadata, one in the trailing metadata."""
    for what, metadata, (key, value) in (
        ("initial metadata", initial, requests.ECHO_INITIAL),
        ("trailing metadata", trailing, requests.ECHO_TRAILING),
    ):
        equal(f"{key} in {what}", _values(metadata, key), [value])


def same_server(ids: Sequence[str]) -> None:
    """Fail unless all calls reached one server, and its id is not empty."""
    if not all(ids) or len(set(ids)) != 1:
        raise CaseFailure(f"server_id of {len(ids)} responses: expected one that is not empty, got {sorted(set(ids))}")


def reported_with_call(trailing: "Metadata") -> None:
    """Fail unless the trailers of a call have the load report that its request named."""
    serialized = _values(trailing, TRAILER)
    equal(f"number of {TRAILER} in the trailing metadata", len(serialized), 1)
    report = OrcaLoadReport.FromString(bytes(serialized[0]))  # type: ignore[arg-type]
    equal("load report", report, load_report(requests.PER_CALL_REPORT))


class AwaitedReport:
    """An out-of-band load report that must arrive in time. Any number of older reports may precede it."""

    def __init__(self, report: pb.TestOrcaReport) -> None:
        self._expected = load_report(report)
        self._last = time.monotonic() + _REPORT_SECONDS

    def is_this(self, report: OrcaLoadReport | None) -> bool:
        """Return whether this report is the expected one. Fail if the stream has ended or the time is over."""
        if report is None:
            raise CaseFailure(f"load report: expected {self._expected!r}, got the end of the stream")
        if report == self._expected:
            return True
        if time.monotonic() > self._last:
            equal(f"load report after {_REPORT_SECONDS:g} s", report, self._expected)
        return False


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
            with statuses():
                yield
            if (seconds := time.monotonic() - started) > SOAK_ITERATION_SECONDS:
                self._faults.append(f"took {seconds * 1000:.0f} ms")
        except CaseFailure as failure:
            self._faults.append(str(failure))
        except GRPCError as error:
            self._faults.append(describe(error))
        self._done += 1

    def verdict(self) -> None:
        """Fail unless all iterations ran and passed."""
        equal("number of iterations in time", self._done, SOAK_ITERATIONS)
        if self._faults:
            raise CaseFailure(f"failed iterations: expected none, got {len(self._faults)}, first: {self._faults[0]}")


@contextlib.contextmanager
def status(code: Status, message: str | None = None) -> Iterator[None]:
    """Fail unless the call in this block ends with this status, and with this message if one is given."""
    try:
        with statuses():
            yield
    except GRPCError as error:
        equal("status code", error.status.name, code.name)
        if message is not None:
            equal("status message", error.message, message)
    else:
        raise CaseFailure(f"status code: expected {code.name}, got OK")


def echoed_status(asked: pb.EchoStatus) -> contextlib.AbstractContextManager[None]:
    """Fail unless the call in this block ends with the status that its request names."""
    return status(Status(asked.code), asked.message)


def describe(error: GRPCError) -> str:
    """Describe an unexpected status in one line."""
    return f"status: expected OK, got {error.status.name} {error.message!r}"


def _values(metadata: "Metadata", key: str) -> list[str | bytes]:
    return metadata.getall(key, []) if metadata is not None else []
