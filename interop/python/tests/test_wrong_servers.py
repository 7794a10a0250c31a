"""Tests that each check can fail: each server here has one error, and the case must report it.

cancel_after_begin has no test, because the call ends before the server sees it.
"""
# ruff: noqa: ARG002 (wrong answers ignore their arguments)

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest

from samehost.interop import orca_service_pb2_grpc, testing_pb2, testing_pb2_grpc
from samehost_interop_python import checks, requests
from samehost_interop_python.compression import AS_ON_THE_WIRE, CompressionInterceptor
from samehost_interop_python.orca import TRAILER, LoadReports, OpenRcaService, load_report
from samehost_interop_python.runner import Result, run_cases
from samehost_interop_python.service import InteropService
from samehost_server import Server

COUNTER = itertools.count()
Outcome: TypeAlias = Callable[..., Result]


class Base(InteropService):
    def __init__(self) -> None:
        super().__init__(LoadReports())
        self.calls = itertools.count(1)


class NotEmpty(Base):
    def EmptyCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.Empty.FromString(b"\x08\x01")  # a field that Empty does not have


class NeverTheSame(Base):
    def CacheableUnaryCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.SimpleResponse(payload=testing_pb2.Payload(body=b"%d" % next(self.calls)))


class OneByteShort(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        response = super().UnaryCall(request, context)
        response.payload.body = response.payload.body[:-1]
        return response


class NotZeros(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        response = super().UnaryCall(request, context)
        response.payload.body = response.payload.body[:-1] + b"\x01"
        return response


class OtherType(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        response = super().UnaryCall(request, context)
        response.payload.MergeFromString(b"\x08\x01")  # a type that does not exist
        return response


class ShortNowAndThen(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        response = super().UnaryCall(request, context)
        if next(self.calls) % 7 == 0:
            response.payload.body = b""
        return response


class FailsNowAndThen(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        if next(self.calls) % 7 == 0:
            context.abort(grpc.StatusCode.ABORTED, "now and then")
        return super().UnaryCall(request, context)


class NeverCompresses(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        request.ClearField("response_compressed")
        return super().UnaryCall(request, context)

    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:
        for parameters in request.response_parameters:
            parameters.ClearField("compressed")
        return super().StreamingOutputCall(request, context)


class AlwaysCompresses(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        request.response_compressed.value = True
        return super().UnaryCall(request, context)

    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:
        for parameters in request.response_parameters:
            parameters.compressed.value = True
        return super().StreamingOutputCall(request, context)


class RefusesAllUnary(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")


class Miscounts(Base):
    def StreamingInputCall(self, request_iterator: Any, context: Any) -> Any:
        response = super().StreamingInputCall(request_iterator, context)
        response.aggregated_payload_size += 1
        return response


class OneResponseLess(Base):
    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:
        return itertools.islice(super().StreamingOutputCall(request, context), len(request.response_parameters) - 1)

    def HalfDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        return itertools.islice(super().HalfDuplexCall(request_iterator, context), 3)

    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        yield from super().FullDuplexCall(itertools.islice(request_iterator, 3), context)
        next(request_iterator)


class OneResponseMore(Base):
    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:
        yield from super().StreamingOutputCall(request, context)
        yield testing_pb2.StreamingOutputCallResponse()

    def HalfDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        yield from super().HalfDuplexCall(request_iterator, context)
        yield testing_pb2.StreamingOutputCallResponse()

    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        yield from super().FullDuplexCall(request_iterator, context)
        yield testing_pb2.StreamingOutputCallResponse()


class OtherOrder(Base):
    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:
        return reversed(list(super().StreamingOutputCall(request, context)))

    def HalfDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        return reversed(list(super().HalfDuplexCall(request_iterator, context)))


class EmptyResponses(Base):
    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        for _ in request_iterator:
            yield testing_pb2.StreamingOutputCallResponse()


class EchoesNothing(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.SimpleResponse(payload=requests.payload(request.response_size))


class EchoesNothingOnStreams(Base):
    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        for request in request_iterator:
            yield testing_pb2.StreamingOutputCallResponse(payload=requests.payload(request.response_parameters[0].size))


class EchoesTheWrongWayRound(EchoesNothing):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        context.send_initial_metadata((requests.ECHO_TRAILING,))
        context.set_trailing_metadata((requests.ECHO_INITIAL,))
        return super().UnaryCall(request, context)


class NoStatus(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        request.ClearField("response_status")
        return super().UnaryCall(request, context)


class NoStatusOnStreams(Base):
    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        for _ in request_iterator:
            yield from ()


class OtherCode(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        request.response_status.code = 3
        return super().UnaryCall(request, context)


class StripsMessages(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        request.response_status.message = request.response_status.message.strip() + "."
        return super().UnaryCall(request, context)


class ImplementsAll(Base, testing_pb2_grpc.UnimplementedServiceServicer):
    def UnimplementedCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.Empty()


class EndsTooEarly(Base):
    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        next(request_iterator)
        yield from ()


class ChangesItsName(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.SimpleResponse(server_id=f"{next(self.calls) // 50}")


class HasNoName(Base):
    def UnaryCall(self, request: Any, context: Any) -> Any:
        return testing_pb2.SimpleResponse()


class ReportsNothingNew(Base):
    def FullDuplexCall(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        for _ in request_iterator:
            yield testing_pb2.StreamingOutputCallResponse(payload=requests.payload(1))


class ReportsOnce(OpenRcaService, orca_service_pb2_grpc.OpenRcaServiceServicer):
    def StreamCoreMetrics(self, request: Any, context: Any) -> Iterator[Any]:
        yield self._reports.current


@pytest.fixture
def outcome(folder: Path, asynchronous: bool) -> Outcome:
    """Run a case against a server with some services, and return the result."""

    def run(case: str, *services: object, checked: bool = True) -> Result:
        results: list[Result] = []
        interceptors, options = ([CompressionInterceptor()], [AS_ON_THE_WIRE]) if checked else ([], [])
        server = Server(folder / f"{next(COUNTER)}.sock", services, interceptors=interceptors, options=options)
        server.start()
        try:
            run_cases(server.address, [case], results.append, asynchronous=asynchronous)
        finally:
            server.stop(at_once=True)
        return results[0]

    return run


@pytest.mark.parametrize(
    ("case", "service", "detail"),
    [
        ("empty_unary", NotEmpty, "size of the response in bytes: expected 0, got 2"),
        ("cacheable_unary", NeverTheSame, "payload of the second response: expected b'1', got b'2'"),
        ("large_unary", OneByteShort, "payload size of the response: expected 314159, got 314158"),
        ("large_unary", NotZeros, "payload of the response: expected 314159 zeros, got other bytes too"),
        ("large_unary", OtherType, "payload type of the response: expected 0, got 1"),
        ("client_compressed_unary", RefusesAllUnary, "status: expected OK, got INVALID_ARGUMENT 'no'"),
        ("client_compressed_unary", OneByteShort, "payload size of the response: expected 314159, got 314158"),
        ("server_compressed_unary", NeverCompresses, "compressed flag of the response: expected True, got False"),
        ("server_compressed_unary", AlwaysCompresses, "compressed flag of the response: expected False, got True"),
        ("server_compressed_unary", OneByteShort, "payload size of the response: expected 314159, got 314158"),
        ("client_streaming", Miscounts, "aggregated_payload_size: expected 74922, got 74923"),
        ("client_compressed_streaming", Miscounts, "aggregated_payload_size: expected 73086, got 73087"),
        ("server_streaming", OneResponseLess, "expected [31415, 9, 2653, 58979], got [31415, 9, 2653]"),
        ("server_streaming", OneResponseMore, "expected [31415, 9, 2653, 58979], got [31415, 9, 2653, 58979, 0]"),
        ("server_streaming", OtherOrder, "expected [31415, 9, 2653, 58979], got [58979, 2653, 9, 31415]"),
        ("server_compressed_streaming", NeverCompresses, "expected [True, False], got [False, False]"),
        ("server_compressed_streaming", AlwaysCompresses, "expected [True, False], got [True, True]"),
        ("server_compressed_streaming", OneResponseLess, "expected [31415, 92653], got [31415]"),
        ("ping_pong", OneResponseLess, "expected one of 58979 bytes, got the end of the stream"),
        ("ping_pong", OneResponseMore, "end of the stream: expected no response, got one of 0 bytes"),
        ("ping_pong", EmptyResponses, "payload size of the response: expected 31415, got 0"),
        ("half_duplex", OneResponseLess, "expected [31415, 9, 2653, 58979], got [31415, 9, 2653]"),
        ("half_duplex", OneResponseMore, "expected [31415, 9, 2653, 58979], got [31415, 9, 2653, 58979, 0]"),
        ("half_duplex", OtherOrder, "expected [31415, 9, 2653, 58979], got [58979, 2653, 9, 31415]"),
        ("empty_stream", OneResponseMore, "end of the stream: expected no response, got one of 0 bytes"),
        ("custom_metadata", EchoesNothing, "x-grpc-test-echo-initial in initial metadata: expected"),
        ("custom_metadata", EchoesNothingOnStreams, "x-grpc-test-echo-initial in initial metadata: expected"),
        ("custom_metadata", EchoesTheWrongWayRound, "x-grpc-test-echo-initial in initial metadata: expected"),
        ("status_code_and_message", NoStatus, "status code: expected UNKNOWN, got OK"),
        ("status_code_and_message", NoStatusOnStreams, "status code: expected UNKNOWN, got OK"),
        ("status_code_and_message", OtherCode, "status code: expected 'UNKNOWN', got 'INVALID_ARGUMENT'"),
        ("status_code_and_message", StripsMessages, "expected 'test status message', got 'test status message.'"),
        ("special_status_message", StripsMessages, r"got 'test with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈.'"),
        ("unimplemented_method", ImplementsAll, "status code: expected UNIMPLEMENTED, got OK"),
        ("unimplemented_service", ImplementsAll, "status code: expected UNIMPLEMENTED, got OK"),
        ("cancel_after_first_response", EndsTooEarly, "expected one of 31415 bytes, got the end of the stream"),
        ("timeout_on_sleeping_server", EndsTooEarly, "status code: expected DEADLINE_EXCEEDED, got OK"),
        ("pick_first_unary", ChangesItsName, "expected one that is not empty, got ['0', '1', '2']"),
        ("pick_first_unary", HasNoName, "expected one that is not empty, got ['']"),
        ("concurrent_large_unary", ShortNowAndThen, "payload size of the response: expected 314159, got 0"),
        ("rpc_soak", ShortNowAndThen, "expected none, got 1, first: payload size of the response: expected 314159"),
        ("channel_soak", FailsNowAndThen, "expected none, got 1, first: status: expected OK, got ABORTED"),
        ("orca_oob", ReportsNothingNew, "load report after 0.3 s: expected cpu_utilization: 0.821"),
        ("orca_oob", EmptyResponses, "payload size of the response: expected 1, got 0"),
    ],
)
def test_a_wrong_server_fails_its_case(
    case: str, service: type[Base], detail: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "CONCURRENT_CALLS", 20)
    monkeypatch.setattr(requests, "TIMEOUT", 20.0)
    monkeypatch.setattr(checks, "REPORT_SECONDS", 0.3)
    result = outcome(case, service(), OpenRcaService(LoadReports()))
    assert (result.case, result.result) == (case, "fail")
    assert detail in result.detail
    assert "\n" not in result.detail


@pytest.mark.parametrize("case", ["client_compressed_unary", "client_compressed_streaming"])
def test_a_server_that_does_not_check_compression_fails(case: str, outcome: Outcome) -> None:
    assert outcome(case, Base(), checked=False).detail == "status code: expected INVALID_ARGUMENT, got OK"


def test_a_stream_of_reports_that_ends_fails(outcome: Outcome) -> None:
    assert outcome("orca_oob", Base(), ReportsOnce(LoadReports())).detail.endswith("got the end of the stream")


def test_a_soak_test_that_takes_too_long_fails(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SOAK_ITERATION_SECONDS", 1e-9)
    assert outcome("rpc_soak", Base()).detail == "number of iterations in time: expected 10, got 0"


def test_an_iteration_that_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    soak = checks.Soak()
    for _ in soak.iterations():
        monkeypatch.setattr(checks, "SOAK_ITERATION_SECONDS", -1)
        with soak.iteration():
            pass
    with pytest.raises(checks.CaseFailure, match=r"expected none, got 10, first: took \d+ ms"):
        soak.verdict()


def test_the_report_of_a_call_is_checked() -> None:
    # Without a server, because a C-core client never sees the trailer.
    right = load_report(requests.PER_CALL_REPORT)
    checks.reported_with_call([(TRAILER, right.SerializeToString())])
    wrong = load_report(requests.OUT_OF_BAND_REPORTS[0])
    for trailers in (None, [(TRAILER, wrong.SerializeToString())], [(TRAILER, right.SerializeToString())] * 2):
        with pytest.raises(checks.CaseFailure):
            checks.reported_with_call(trailers)
