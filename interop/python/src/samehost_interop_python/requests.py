"""Requests of the official cases (grpc/grpc doc/interop-test-descriptions.md), for both kinds of client."""

import os
import time
from collections.abc import Sequence
from typing import TypeAlias

from samehost.interop import orca_load_report_pb2, orca_service_pb2, testing_pb2
from samehost_interop_python.orca import load_report

Metadatum: TypeAlias = tuple[str, str | bytes]

DEADLINE = 30.0
"""Seconds that a call of a case may take, so that no case hangs. A call over a socket takes milliseconds."""

LARGE_REQUEST_BYTES = 271828
LARGE_RESPONSE_BYTES = 314159
REQUEST_BYTES = (27182, 8, 1828, 45904)
RESPONSE_BYTES = (31415, 9, 2653, 58979)
COMPRESSED_REQUEST_BYTES = (27182, 45904)
COMPRESSED_RESPONSE_BYTES = {True: 31415, False: 92653}
"""The two sizes of server_compressed_streaming in order. The keys say whether the message is compressed."""

ECHO_INITIAL: Metadatum = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
ECHO_TRAILING: Metadatum = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
USER_IP: Metadatum = ("x-user-ip", "1.2.3.4")
"""Metadata of cacheable_unary, because some proxies cache nothing for clients on their own host."""

STATUS = testing_pb2.EchoStatus(code=2, message="test status message")
SPECIAL_STATUS = testing_pb2.EchoStatus(
    code=2, message="\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
)

CONCURRENT_CALLS = 1000
CONCURRENT_DEADLINE = 60.0
"""Seconds for each call, because all of them wait for the last one. Together they took 2 s on two idle cores."""

PICK_FIRST_CALLS = 100
"""How many calls must reach the same server, as in grpc-go and grpc-java. The official description has no number."""

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
    """Return a payload of zeros."""
    return testing_pb2.Payload(body=bytes(size))


def large() -> testing_pb2.SimpleRequest:
    """Return the request of large_unary."""
    return testing_pb2.SimpleRequest(response_size=LARGE_RESPONSE_BYTES, payload=payload(LARGE_REQUEST_BYTES))


def large_expecting(*, compressed: bool) -> testing_pb2.SimpleRequest:
    """Return a large request whose `expect_compressed` has this value."""
    request = large()
    request.expect_compressed.value = compressed
    return request


def large_response_compressed(*, compressed: bool) -> testing_pb2.SimpleRequest:
    """Return a large request whose `response_compressed` has this value."""
    request = large()
    request.response_compressed.value = compressed
    return request


def cacheable() -> testing_pb2.SimpleRequest:
    """Return a unique request: its payload is the current time."""
    return testing_pb2.SimpleRequest(payload=testing_pb2.Payload(body=str(time.time_ns()).encode()))


def inputs() -> list[testing_pb2.StreamingInputCallRequest]:
    """Return the requests of client_streaming."""
    return [testing_pb2.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_BYTES]


def input_probe() -> testing_pb2.StreamingInputCallRequest:
    """Return a request whose `expect_compressed` is true."""
    return testing_pb2.StreamingInputCallRequest(
        payload=payload(REQUEST_BYTES[0]), expect_compressed=testing_pb2.BoolValue(value=True)
    )


def compressed_inputs() -> list[testing_pb2.StreamingInputCallRequest]:
    """Return the requests of client_compressed_streaming: one that gzip makes shorter, and one that it does not.

    grpcio's client cannot disable compression for one message of a stream. But if gzip does not make a message shorter,
    C-core sends it uncompressed and without the compressed flag (grpc/grpc
    src/core/lib/compression/message_compress.cc). The second message therefore has random bytes instead of the zeros of
    the official description. The assertion stays the same.
    """
    plain = testing_pb2.StreamingInputCallRequest(
        payload=testing_pb2.Payload(body=os.urandom(COMPRESSED_REQUEST_BYTES[1])),
        expect_compressed=testing_pb2.BoolValue(value=False),
    )
    return [input_probe(), plain]


def output(*sizes: int) -> testing_pb2.StreamingOutputCallRequest:
    """Return a request for responses of these sizes."""
    return testing_pb2.StreamingOutputCallRequest(
        response_parameters=[testing_pb2.ResponseParameters(size=size) for size in sizes]
    )


def output_with_payload(request_bytes: int, response_bytes: int) -> testing_pb2.StreamingOutputCallRequest:
    """Return a request with a payload of one size, for one response of another size."""
    request = output(response_bytes)
    request.payload.body = bytes(request_bytes)
    return request


def compressed_output() -> testing_pb2.StreamingOutputCallRequest:
    """Return the request of server_compressed_streaming."""
    return testing_pb2.StreamingOutputCallRequest(
        response_parameters=[
            testing_pb2.ResponseParameters(size=size, compressed=testing_pb2.BoolValue(value=compressed))
            for compressed, size in COMPRESSED_RESPONSE_BYTES.items()
        ]
    )


def ping_pong() -> Sequence[testing_pb2.StreamingOutputCallRequest]:
    """Return the requests of ping_pong. Send each one after the response to the previous one."""
    return [output_with_payload(*sizes) for sizes in zip(REQUEST_BYTES, RESPONSE_BYTES, strict=True)]


def large_output() -> testing_pb2.StreamingOutputCallRequest:
    """Return the request of custom_metadata's stream."""
    return output_with_payload(LARGE_REQUEST_BYTES, LARGE_RESPONSE_BYTES)


def sleeper() -> testing_pb2.StreamingOutputCallRequest:
    """Return a request that gets no response, because it names none."""
    return testing_pb2.StreamingOutputCallRequest(payload=payload(REQUEST_BYTES[0]))


def reporting(report: testing_pb2.TestOrcaReport) -> testing_pb2.StreamingOutputCallRequest:
    """Return a request that sets the out-of-band report, and whose one response confirms it."""
    request = output(1)
    request.orca_oob_report.CopyFrom(report)
    return request


def reported(report: testing_pb2.TestOrcaReport) -> orca_load_report_pb2.OrcaLoadReport:
    """Return the report that the server must send."""
    return load_report(report)
