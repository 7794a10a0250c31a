"""What the official cases assert, shared by both kinds of client. Each failure is one line: expected and got."""

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
"""The defaults of the official clients; and no failure is allowed."""


REPORT_SECONDS = 10.0
"""How long a report out of band may take to arrive; the slowest interop servers send one each second."""

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]] | None


class CaseFailure(Exception):  # noqa: N818
    """A case that did not go as the description says."""


def equal(what: str, got: object, expected: object) -> None:
    """Fails unless two things are equal."""
    if got != expected:
        raise CaseFailure(f"{what}: expected {expected!r}, got {got!r}")


def empty(response: testing_pb2.Empty) -> None:
    """Fails unless a response has zero bytes."""
    equal("size of the response in bytes", response.ByteSize(), 0)


def payload(what: str, got: testing_pb2.Payload, size: int) -> None:
    """Fails unless a payload has the right type, size and contents."""
    equal(f"payload type of {what}", got.type, testing_pb2.COMPRESSABLE)
    equal(f"payload size of {what}", len(got.body), size)
    if got.body != bytes(size):
        raise CaseFailure(f"payload of {what}: expected {size} zeros, got other bytes among them")


def large(response: testing_pb2.SimpleResponse) -> None:
    """Fails unless a response is that of large_unary."""
    payload("the response", response.payload, requests.LARGE_RESPONSE_BYTES)


def cached(first: testing_pb2.SimpleResponse, second: testing_pb2.SimpleResponse) -> None:
    """Fails unless both responses have the same payload."""
    equal("payload of the second response", second.payload.body, first.payload.body)


def aggregated(response: testing_pb2.StreamingInputCallResponse, sizes: Iterable[int]) -> None:
    """Fails unless a response is the sum of what was sent."""
    equal("aggregated_payload_size", response.aggregated_payload_size, sum(sizes))


def outputs(responses: Sequence[testing_pb2.StreamingOutputCallResponse], sizes: Sequence[int]) -> None:
    """Fails unless a stream had exactly the responses of these sizes, in order."""
    equal("payload sizes of the responses", [len(each.payload.body) for each in responses], list(sizes))
    for number, (response, size) in enumerate(zip(responses, sizes, strict=True), start=1):
        payload(f"response {number}", response.payload, size)


def output(response: testing_pb2.StreamingOutputCallResponse | None, size: int) -> None:
    """Fails unless the next response of a stream is there and of this size."""
    if response is None:
        raise CaseFailure(f"next response of the stream: expected one of {size} bytes, got the end of the stream")
    payload("the response", response.payload, size)


def end(response: testing_pb2.StreamingOutputCallResponse | None) -> None:
    """Fails if a stream has another response."""
    if response is not None:
        raise CaseFailure(f"end of the stream: expected no response, got one of {len(response.payload.body)} bytes")


def large_with_compression(received: Received[testing_pb2.SimpleResponse], *, compressed: bool) -> None:
    """Fails unless a response is that of large_unary and came compressed or not, as it was asked for."""
    equal("compressed flag of the response", received.compressed, compressed)
    large(received.message)


def outputs_with_compression(received: Sequence[Received[testing_pb2.StreamingOutputCallResponse]]) -> None:
    """Fails unless a stream had the responses of server_compressed_streaming."""
    outputs([each.message for each in received], list(requests.COMPRESSED_RESPONSE_BYTES.values()))
    equal(
        "compressed flags of the responses",
        [each.compressed for each in received],
        list(requests.COMPRESSED_RESPONSE_BYTES),
    )


def echoes(initial: Metadata, trailing: Metadata) -> None:
    """Fails unless both pieces of metadata came back, each once and where it belongs."""
    for what, metadata, (key, value) in (
        ("initial metadata", initial, requests.ECHO_INITIAL),
        ("trailing metadata", trailing, requests.ECHO_TRAILING),
    ):
        equal(f"{key} in {what}", values(metadata, key), [value])


def values(metadata: Metadata, key: str) -> list[str | bytes]:
    """The values of a key in metadata of either kind of client, which may be None."""
    return [value for name, value in metadata or () if name == key]


def same_server(ids: Sequence[str]) -> None:
    """Fails unless all calls reached one server, and it has a name."""
    if not all(ids) or len(set(ids)) != 1:
        raise CaseFailure(f"server_id of {len(ids)} responses: expected one that is not empty, got {sorted(set(ids))}")


def reported_with_call(trailing: Metadata) -> None:
    """Fails unless a call's trailers have the load report that it asked for."""
    serialized = values(trailing, TRAILER)
    equal(f"number of {TRAILER} in the trailing metadata", len(serialized), 1)
    report = orca_load_report_pb2.OrcaLoadReport.FromString(bytes(serialized[0]))  # type: ignore[arg-type]
    equal("load report", report, requests.reported(requests.PER_CALL_REPORT))


class AwaitedReport:
    """A load report that is to arrive out of band, after any number of older ones, and in time."""

    def __init__(self, report: testing_pb2.TestOrcaReport) -> None:
        self._expected = requests.reported(report)
        self._last = time.monotonic() + REPORT_SECONDS

    def is_this(self, report: orca_load_report_pb2.OrcaLoadReport) -> bool:
        """Whether it is this one; fails when it would be too late for the next."""
        if report == self._expected:
            return True
        if time.monotonic() > self._last:
            equal(f"load report after {REPORT_SECONDS:g} s", report, self._expected)
        return False

    def never_came(self) -> NoReturn:
        """Fails, as there will be no further report."""
        raise CaseFailure(f"load report: expected {self._expected!r}, got the end of the stream")


class Soak:
    """Times the iterations of a soak test, and counts those that fail."""

    def __init__(self) -> None:
        self._done = 0
        self._faults: list[str] = []

    def iterations(self) -> Iterator[int]:
        """Counts the iterations, and stops early when the time for all of them is over."""
        last = time.monotonic() + SOAK_ITERATIONS * SOAK_ITERATION_SECONDS
        for number in range(1, SOAK_ITERATIONS + 1):
            if time.monotonic() > last:
                return
            yield number

    @contextlib.contextmanager
    def iteration(self) -> Iterator[None]:
        """Surrounds one iteration, which goes on to the next whether or not it fails."""
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
        """Fails unless all iterations were made, and none of them failed."""
        equal("number of iterations in time", self._done, SOAK_ITERATIONS)
        if self._faults:
            raise CaseFailure(f"failed iterations: expected none, got {len(self._faults)}, first: {self._faults[0]}")


@contextlib.contextmanager
def status(code: grpc.StatusCode, message: str | None = None) -> Iterator[None]:
    """Surrounds a call, and fails unless it ends with this status, and this message where one is given."""
    try:
        yield
    except grpc.RpcError as error:
        equal("status code", error.code().name, code.name)
        if message is not None:
            equal("status message", error.details(), message)
    else:
        raise CaseFailure(f"status code: expected {code.name}, got OK")


_RESET = ("Received RST_STREAM", "Internal error from Core")
"""What grpcio says of a stream that its server has reset: to a read, and in grpc.aio to a write (aio/_call.py)."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Surrounds a call, and fails unless it ends at its deadline.

    A server that is first to see it resets the stream, without a status. C-core takes that for the deadline only if
    its clock, which it reads once for many things to do, is past it too; else it says CANCELLED or INTERNAL
    (grpc/grpc src/core/ext/transport/chttp2/transport/http2_status.h).
    """
    started = time.monotonic()
    try:
        yield
    except grpc.RpcError as error:
        reset = any(words in str(error.details()) for words in _RESET)
        # Half, as the server counts from a timeout that was rounded on its way.
        if not reset or time.monotonic() - started < seconds / 2:
            equal(f"status code ({error.details()!r})", error.code().name, "DEADLINE_EXCEEDED")
    else:
        raise CaseFailure("status code: expected DEADLINE_EXCEEDED, got OK")


def echoed_status(status_: testing_pb2.EchoStatus) -> contextlib.AbstractContextManager[None]:
    """Surrounds a call, and fails unless it ends with the status that it asked for."""
    return status(grpc.StatusCode.UNKNOWN, status_.message)


def describe(error: grpc.RpcError) -> str:
    """A status that no case expected, in one line."""
    return f"status: expected OK, got {error.code().name} {error.details()!r}"
