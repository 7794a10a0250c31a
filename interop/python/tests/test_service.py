"""Tests of both servers that the cases of the Python client cannot cover."""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost.interop import orca_service_pb2, orca_service_pb2_grpc, testing_pb2, testing_pb2_grpc
from samehost_client import connect
from samehost_common import SocketAddress
from samehost_interop_python import checks, requests
from samehost_interop_python.compression import MAX_MESSAGE_BYTES, decompress
from samehost_interop_python.orca import TRAILER

COMPRESSIONS = [grpc.Compression.Gzip, grpc.Compression.Deflate]


@pytest.fixture
def channel(serving: SocketAddress) -> Iterator[grpc.Channel]:
    with connect(serving, max_message_bytes=2 * MAX_MESSAGE_BYTES) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> testing_pb2_grpc.TestServiceStub:
    return testing_pb2_grpc.TestServiceStub(channel)


def status_of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_request_whose_expect_compressed_is_wrong_is_refused(
    stub: testing_pb2_grpc.TestServiceStub, compression: grpc.Compression
) -> None:
    request = requests.large_expecting(compressed=False)
    code, details = status_of(lambda: stub.UnaryCall(request, compression=compression, timeout=10))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "expect_compressed is False, but the message is compressed"


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_stream_is_refused_at_the_message_whose_expect_compressed_is_wrong(
    stub: testing_pb2_grpc.TestServiceStub, compression: grpc.Compression
) -> None:
    compressed, plain = requests.compressed_inputs()
    right, wrong = [compressed, plain], [compressed, plain, requests.input_probe(), plain]
    wrong[2].expect_compressed.value = False
    response = stub.StreamingInputCall(iter(right), compression=compression, timeout=10)
    assert response.aggregated_payload_size == 73086
    code, _ = status_of(lambda: stub.StreamingInputCall(iter(wrong), compression=compression, timeout=10))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_service_accepts_compressed_requests(channel: grpc.Channel, compression: grpc.Compression) -> None:
    greeter = greeter_pb2_grpc.GreeterServiceStub(channel)
    name = "n" * 200  # long enough for compression to make it shorter
    greeting = greeter.Greet(greeter_pb2.GreetRequest(name=name), compression=compression, timeout=10)
    assert name in greeting.message
    party = (greeter_pb2.GreetTogetherRequest(name=name) for _ in range(3))
    assert greeter.GreetTogether(party, compression=compression, timeout=10).count == 3
    health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs lack the methods
    request = health_pb2.HealthCheckRequest(service="grpc.testing.TestService")
    assert health.Check(request, compression=compression, timeout=10).status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest(service="s" * 200), compression=compression, timeout=10)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_names_every_service(channel: grpc.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # its stubs lack the method
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=10)
    assert {service.name for service in answer.list_services_response.service} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.testing.TestService",
        "samehost.greeter.v1.GreeterService",
        "xds.service.orca.v3.OpenRcaService",
    }


def test_a_message_that_is_too_long_after_decompression_is_refused(stub: testing_pb2_grpc.TestServiceStub) -> None:
    request = testing_pb2.SimpleRequest(payload=requests.payload(MAX_MESSAGE_BYTES + 1))
    code, _ = status_of(lambda: stub.UnaryCall(request, compression=grpc.Compression.Gzip, timeout=10))
    assert code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}  # synchronous server, asyncio server
    assert stub.EmptyCall(testing_pb2.Empty(), timeout=10) == testing_pb2.Empty()


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8b\x08\x00 not gzip", b"\x78", b"\x78\x9c\x03"])
def test_invalid_compressed_data_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot decompress a message of"):
        decompress(data)


@pytest.mark.parametrize(
    ("request_", "code", "details"),
    [
        ({"response_type": 1}, "INVALID_ARGUMENT", "invalid response_type 1: use 0"),
        ({"response_size": -1}, "INVALID_ARGUMENT", "invalid size of -1 bytes: use 0 to 4194304"),
        ({"response_size": 2**31 - 1}, "INVALID_ARGUMENT", "invalid size of 2147483647 bytes: use 0 to 4194304"),
        ({"response_status": {"code": 16, "message": "who?"}}, "UNAUTHENTICATED", "who?"),
        ({"response_status": {"code": 99, "message": "what?"}}, "UNKNOWN", "what?"),
    ],
)
def test_a_request_is_refused_with_a_status(
    stub: testing_pb2_grpc.TestServiceStub, request_: dict[str, Any], code: str, details: str
) -> None:
    refused = status_of(lambda: stub.UnaryCall(testing_pb2.SimpleRequest(**request_), timeout=10))
    assert (refused[0].name, refused[1]) == (code, details)


def test_a_stream_with_one_invalid_size_has_no_response(stub: testing_pb2_grpc.TestServiceStub) -> None:
    responses = stub.StreamingOutputCall(requests.output(1, -1), timeout=10)
    code, _ = status_of(lambda: next(responses))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_requested_status_keeps_the_metadata(stub: testing_pb2_grpc.TestServiceStub) -> None:
    request = testing_pb2.SimpleRequest(response_status=requests.STATUS)
    metadata = (requests.ECHO_INITIAL, requests.ECHO_TRAILING)
    call = stub.UnaryCall.future(request, metadata=metadata, timeout=10)
    assert call.code() is grpc.StatusCode.UNKNOWN
    checks.echoes(call.initial_metadata(), call.trailing_metadata())


def test_a_cacheable_response_has_the_cache_control_header(stub: testing_pb2_grpc.TestServiceStub) -> None:
    _, call = stub.CacheableUnaryCall.with_call(requests.cacheable(), timeout=10)
    assert ("cache-control", "max-age=60, public") in call.initial_metadata()


def test_the_server_pauses_before_each_response(stub: testing_pb2_grpc.TestServiceStub) -> None:
    request = requests.output(1, 2, 3)
    for parameters in request.response_parameters:
        parameters.interval_us = 50_000
    began = time.monotonic()
    assert [len(each.payload.body) for each in stub.StreamingOutputCall(request, timeout=10)] == [1, 2, 3]
    assert time.monotonic() - began >= 0.15


def test_a_response_has_the_host_name_and_the_peer_address(stub: testing_pb2_grpc.TestServiceStub) -> None:
    response = stub.UnaryCall(testing_pb2.SimpleRequest(fill_username=True, fill_oauth_scope=True), timeout=10)
    assert (response.username, response.oauth_scope, response.server_id) == ("", "", "")
    assert response.hostname
    request = requests.output(1, 1)
    request.response_parameters[0].fill_peer_socket_address.value = True
    addresses = [each.peer_socket_address for each in stub.StreamingOutputCall(request, timeout=10)]
    assert addresses == ["unix:", ""]


def test_half_duplex_sends_no_response_before_the_last_request(stub: testing_pb2_grpc.TestServiceStub) -> None:
    waiting: queue.SimpleQueue[testing_pb2.StreamingOutputCallRequest | None] = queue.SimpleQueue()
    waiting.put(requests.output(1))
    responses = stub.HalfDuplexCall(iter(waiting.get, None), timeout=0.5)
    code, _ = status_of(lambda: next(responses))
    waiting.put(None)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_report_of_a_call_is_not_sent_out_of_band(channel: grpc.Channel) -> None:
    request = testing_pb2.SimpleRequest(orca_per_query_report=testing_pb2.TestOrcaReport(cpu_utilization=0.75))
    _, call = testing_pb2_grpc.TestServiceStub(channel).UnaryCall.with_call(request, timeout=10)
    # C-core hides the trailer from the application. test_official_go_client.py tests that the server sends it.
    assert TRAILER not in dict(call.trailing_metadata())
    reports = orca_service_pb2_grpc.OpenRcaServiceStub(channel)
    listening = reports.StreamCoreMetrics(orca_service_pb2.OrcaLoadReportRequest(), timeout=10)
    assert next(listening).cpu_utilization != 0.75
    listening.cancel()


def test_one_client_at_a_time_sets_the_out_of_band_report(stub: testing_pb2_grpc.TestServiceStub) -> None:
    first: queue.SimpleQueue[testing_pb2.StreamingOutputCallRequest | None] = queue.SimpleQueue()
    first.put(requests.reporting(requests.OUT_OF_BAND_REPORTS[0]))
    holding = stub.FullDuplexCall(iter(first.get, None), timeout=10)
    next(holding)
    second = requests.reporting(requests.OUT_OF_BAND_REPORTS[1])
    code, _ = status_of(lambda: next(stub.FullDuplexCall(iter([second]), timeout=0.3)))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = stub.FullDuplexCall(iter([second]), timeout=10)
    first.put(None)
    assert list(holding) == []
    assert len(list(waiting)) == 1
