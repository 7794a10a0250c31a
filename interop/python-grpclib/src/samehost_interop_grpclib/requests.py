"""Requests of the official cases (grpc/grpc doc/interop-test-descriptions.md)."""

import time
from typing import TypeAlias

from samehost.interop import testing_pb2 as pb
from samehost.interop.orca_service_pb2 import OrcaLoadReportRequest

Metadatum: TypeAlias = tuple[str, str | bytes]

DEADLINE = 30.0
"""Seconds that a call of a case may take, so that no case hangs. A call over a socket takes milliseconds."""

LARGE_REQUEST_BYTES = 271828
LARGE_RESPONSE_BYTES = 314159
REQUEST_BYTES = (27182, 8, 1828, 45904)
RESPONSE_BYTES = (31415, 9, 2653, 58979)
COMPRESSED_REQUEST_BYTES = {True: 27182, False: 45904}
COMPRESSED_RESPONSE_BYTES = {True: 31415, False: 92653}
"""The sizes of client_ and server_compressed_streaming in order. The keys say whether the message is compressed."""

ECHO_INITIAL: Metadatum = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
ECHO_TRAILING: Metadatum = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
USER_IP: Metadatum = ("x-user-ip", "1.2.3.4")
"""Metadata of cacheable_unary, because some proxies cache nothing for clients on their own host."""

STATUS = pb.EchoStatus(code=2, message="test status message")
SPECIAL_STATUS = pb.EchoStatus(code=2, message="\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")

CONCURRENT_CALLS = 1000
CONCURRENT_DEADLINE = 60.0
"""Seconds for each call, because all of them wait for the last one. They move 600 MB, and grpclib is pure Python."""

PICK_FIRST_CALLS = 100
"""How many calls must reach the same server, as in grpc-go and grpc-java. The official description has no number."""

TIMEOUT = 0.001
"""The deadline of timeout_on_sleeping_server in seconds."""

PER_CALL_REPORT = pb.TestOrcaReport(
    cpu_utilization=0.8210, memory_utilization=0.5847, request_cost={"cost": 3456.32}, utilization={"util": 0.30499}
)
OUT_OF_BAND_REPORTS = (
    pb.TestOrcaReport(cpu_utilization=0.8210, memory_utilization=0.5847, utilization={"util": 0.30499}),
    pb.TestOrcaReport(cpu_utilization=0.29309, memory_utilization=0.2, utilization={"util": 0.2039}),
)

LISTEN = OrcaLoadReportRequest()
LISTEN.report_interval.FromMilliseconds(100)


def payload(size: int) -> pb.Payload:
    """Return a payload of zeros."""
    return pb.Payload(body=bytes(size))


def large() -> pb.SimpleRequest:
    """Return the request of large_unary."""
    return pb.SimpleRequest(response_size=LARGE_RESPONSE_BYTES, payload=payload(LARGE_REQUEST_BYTES))


def large_expecting(*, compressed: bool) -> pb.SimpleRequest:
    """Return a large request whose `expect_compressed` has this value."""
    request = large()
    request.expect_compressed.value = compressed
    return request


def large_response_compressed(*, compressed: bool) -> pb.SimpleRequest:
    """Return a large request whose `response_compressed` has this value."""
    request = large()
    request.response_compressed.value = compressed
    return request


def cacheable() -> pb.SimpleRequest:
    """Return a unique request: its payload is the current time."""
    return pb.SimpleRequest(payload=pb.Payload(body=str(time.time_ns()).encode()))


def inputs() -> list[pb.StreamingInputCallRequest]:
    """Return the requests of client_streaming."""
    return [pb.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_BYTES]


def input_expecting(*, compressed: bool) -> pb.StreamingInputCallRequest:
    """Return a request of client_compressed_streaming whose `expect_compressed` has this value."""
    return pb.StreamingInputCallRequest(
        payload=payload(COMPRESSED_REQUEST_BYTES[compressed]), expect_compressed=pb.BoolValue(value=compressed)
    )


def output(*sizes: int) -> pb.StreamingOutputCallRequest:
    """Return a request for responses of these sizes."""
    return pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=size) for size in sizes])


def output_with_payload(request_bytes: int, response_bytes: int) -> pb.StreamingOutputCallRequest:
    """Return a request with a payload of one size, for one response of another size."""
    request = output(response_bytes)
    request.payload.body = bytes(request_bytes)
    return request


def compressed_output() -> pb.StreamingOutputCallRequest:
    """Return the request of server_compressed_streaming."""
    return pb.StreamingOutputCallRequest(
        response_parameters=[
            pb.ResponseParameters(size=size, compressed=pb.BoolValue(value=compressed))
            for compressed, size in COMPRESSED_RESPONSE_BYTES.items()
        ]
    )


def ping_pong() -> list[pb.StreamingOutputCallRequest]:
    """Return the requests of ping_pong. Send each one after the response to the previous one."""
    return [output_with_payload(*sizes) for sizes in zip(REQUEST_BYTES, RESPONSE_BYTES, strict=True)]


def sleeper() -> pb.StreamingOutputCallRequest:
    """Return a request that gets no response, because it names none."""
    return pb.StreamingOutputCallRequest(payload=payload(REQUEST_BYTES[0]))


def reporting(report: pb.TestOrcaReport) -> pb.StreamingOutputCallRequest:
    """Return a request that sets the out-of-band report, and whose one response confirms it."""
    request = output(1)
    request.orca_oob_report.CopyFrom(report)
    return request
