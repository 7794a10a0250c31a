"""What the official cases send, as grpc/grpc doc/interop-test-descriptions.md has it; both kinds of client share it."""

import os
import time
from collections.abc import Sequence
from typing import TypeAlias

from samehost.interop import orca_load_report_pb2, orca_service_pb2, testing_pb2
from samehost_interop_python.orca import load_report

Metadatum: TypeAlias = tuple[str, str | bytes]

DEADLINE = 30.0
"""Seconds that any call of a case may take, so that nothing hangs; a call over a socket takes milliseconds."""

LARGE_REQUEST_BYTES = 271828
LARGE_RESPONSE_BYTES = 314159
REQUEST_BYTES = (27182, 8, 1828, 45904)
RESPONSE_BYTES = (31415, 9, 2653, 58979)
COMPRESSED_REQUEST_BYTES = (27182, 45904)
COMPRESSED_RESPONSE_BYTES = {True: 31415, False: 92653}
"""The two sizes of server_compressed_streaming, in order, by whether they are to come compressed."""

ECHO_INITIAL: Metadatum = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
ECHO_TRAILING: Metadatum = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
USER_IP: Metadatum = ("x-user-ip", "1.2.3.4")
"""What cacheable_unary sends along, as some proxies keep nothing for callers on their own host."""

STATUS = testing_pb2.EchoStatus(code=2, message="test status message")
SPECIAL_STATUS = testing_pb2.EchoStatus(
    code=2, message="\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
)

CONCURRENT_CALLS = 1000
CONCURRENT_DEADLINE = 60.0
"""Seconds for each of them, as all wait for the last: together they took 2 s on two cores with nothing else to do."""

PICK_FIRST_CALLS = 100
"""How many calls must reach the same server, as grpc-go and grpc-java have it; the description names no number."""

TIMEOUT = 0.001
"""The deadline of timeout_on_sleeping_server in seconds."""

PER_CALL_REPORT = testing_pb2.TestOrcaReport(
    cpu_utilization=0.8210, memory_utilization=0.5847, request_cost={"cost": 3456.32}, utilization={"util": 0.30499}
)
OUT_OF_BAND_REPORTS = (
    testing_pb2.TestOrcaReport(cpu_utilization=0.8210, memory_utilization=0.5847, utilization={"util": 0.30499}),
    testing_pb2.TestOrcaReport(cpu_utilization=0.29309, memory_utilization=0.2, utilization={"util": 0.2039}),
)

LISTEN = orca_service_pb2.OrcaLoadReportRequest()
LISTEN.report_interval.FromMilliseconds(100)


def payload(size: int) -> testing_pb2.Payload:
    """A payload of zeros."""
    return testing_pb2.Payload(body=bytes(size))


def large() -> testing_pb2.SimpleRequest:
    """The request of large_unary."""
    return testing_pb2.SimpleRequest(response_size=LARGE_RESPONSE_BYTES, payload=payload(LARGE_REQUEST_BYTES))


def large_expecting(*, compressed: bool) -> testing_pb2.SimpleRequest:
    """A large request that says whether it comes compressed."""
    request = large()
    request.expect_compressed.value = compressed
    return request


def large_response_compressed(*, compressed: bool) -> testing_pb2.SimpleRequest:
    """A large request that says how the response is to come."""
    request = large()
    request.response_compressed.value = compressed
    return request


def cacheable() -> testing_pb2.SimpleRequest:
    """A request like no other before: its payload is the time."""
    return testing_pb2.SimpleRequest(payload=testing_pb2.Payload(body=str(time.time_ns()).encode()))


def inputs() -> list[testing_pb2.StreamingInputCallRequest]:
    """The requests of client_streaming."""
    return [testing_pb2.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_BYTES]


def input_probe() -> testing_pb2.StreamingInputCallRequest:
    """A request that says that it comes compressed."""
    return testing_pb2.StreamingInputCallRequest(
        payload=payload(REQUEST_BYTES[0]), expect_compressed=testing_pb2.BoolValue(value=True)
    )


def compressed_inputs() -> list[testing_pb2.StreamingInputCallRequest]:
    """The requests of client_compressed_streaming: one that gzip makes shorter, and one that it can't.

    grpcio's client has no switch for one message of a stream. But C-core sends a message as it is, its
    compressed flag unset, where gzip does not make it shorter (grpc/grpc
    src/core/lib/compression/message_compress.cc). So in a call with gzip the second message is made of
    random bytes where the description has zeros, and what it asserts is tested all the same.
    """
    plain = testing_pb2.StreamingInputCallRequest(
        payload=testing_pb2.Payload(body=os.urandom(COMPRESSED_REQUEST_BYTES[1])),
        expect_compressed=testing_pb2.BoolValue(value=False),
    )
    return [input_probe(), plain]


def output(*sizes: int) -> testing_pb2.StreamingOutputCallRequest:
    """A request for responses of these sizes."""
    return testing_pb2.StreamingOutputCallRequest(
        response_parameters=[testing_pb2.ResponseParameters(size=size) for size in sizes]
    )


def output_with_payload(request_bytes: int, response_bytes: int) -> testing_pb2.StreamingOutputCallRequest:
    """A request of one size for one response of another."""
    request = output(response_bytes)
    request.payload.body = bytes(request_bytes)
    return request


def compressed_output() -> testing_pb2.StreamingOutputCallRequest:
    """The request of server_compressed_streaming."""
    return testing_pb2.StreamingOutputCallRequest(
        response_parameters=[
            testing_pb2.ResponseParameters(size=size, compressed=testing_pb2.BoolValue(value=compressed))
            for compressed, size in COMPRESSED_RESPONSE_BYTES.items()
        ]
    )


def ping_pong() -> Sequence[testing_pb2.StreamingOutputCallRequest]:
    """The requests of ping_pong, each of which is sent when the one before is answered."""
    return [output_with_payload(*sizes) for sizes in zip(REQUEST_BYTES, RESPONSE_BYTES, strict=True)]


def large_output() -> testing_pb2.StreamingOutputCallRequest:
    """The request of custom_metadata's stream."""
    return output_with_payload(LARGE_REQUEST_BYTES, LARGE_RESPONSE_BYTES)


def sleeper() -> testing_pb2.StreamingOutputCallRequest:
    """A request that is never answered, as it asks for nothing."""
    return testing_pb2.StreamingOutputCallRequest(payload=payload(REQUEST_BYTES[0]))


def reporting(report: testing_pb2.TestOrcaReport) -> testing_pb2.StreamingOutputCallRequest:
    """A request that sets the report out of band, and for one response that says that it is set."""
    request = output(1)
    request.orca_oob_report.CopyFrom(report)
    return request


def reported(report: testing_pb2.TestOrcaReport) -> orca_load_report_pb2.OrcaLoadReport:
    """What is expected to be reported."""
    return load_report(report)
