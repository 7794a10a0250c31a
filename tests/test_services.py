"""What a server serves: anyone's servicers, health that always answers, reflection, and limits that hold."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from running import WITHIN, Running, as_option, run, serving, slow_greetings
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import CallError, connect
from samehost_client.health import check
from samehost_proto import SocketAddress
from samehost_server import OptionError, ServiceError
from samehost_server.greeter import AsyncGreeterService, GreeterService

GREETER = "samehost.greeter.v1.GreeterService"


@pytest.fixture
def channel(path: Path) -> Iterator[grpc.Channel]:
    with connect(path) as channel:
        yield channel


def greet(channel: grpc.Channel, name: str = "Ada") -> str:
    stub = greeter_pb2_grpc.GreeterServiceStub(channel)
    return stub.Greet(greeter_pb2.GreetRequest(name=name), timeout=WITHIN, wait_for_ready=True).message


def test_health_knows_every_service_and_no_other(kind: str, path: Path) -> None:
    with Running(kind, path):
        address = SocketAddress(path)
        assert check(address) == "SERVING"
        assert check(address, GREETER) == "SERVING"
        with pytest.raises(CallError, match="NOT_FOUND"):
            check(address, "no.such.Service")


def test_reflection_shows_the_services(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = stub.ServerReflectionInfo(iter([request]), timeout=WITHIN)  # type: ignore[operator]
        names = [service.name for answer in answers for service in answer.list_services_response.service]
        assert names == sorted([GREETER, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"])


def test_health_and_reflection_can_be_left_out(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, with_health=False, with_reflection=False):
        assert greet(channel) == "Hello, Ada!"
        with pytest.raises(CallError, match="UNIMPLEMENTED"):
            check(SocketAddress(path))


def test_what_is_over_the_limit_is_refused_at_once_and_health_still_answers(
    kind: str, path: Path, channel: grpc.Channel
) -> None:
    with Running(kind, path, max_concurrent_calls=3, grace=0):
        assert greet(channel) == "Hello, Ada!"
        streams = [slow_greetings(channel, 60_000) for _ in range(3)]
        for stream in streams:
            next(stream)
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as refused:
                greet(channel)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "limit of 3 calls" in str(refused.value.details())
        assert check(SocketAddress(path)) == "SERVING"
        for stream in streams:
            stream.cancel()


def test_the_limit_is_given_back_however_a_call_ends(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, max_concurrent_calls=1, grace=0):
        for _ in range(5):
            assert greet(channel) == "Hello, Ada!"
            with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                greet(channel, "")
            stream = slow_greetings(channel, 50)
            next(stream)
            stream.cancel()
            assert greet_when_free(channel) == "Hello, Ada!"


def greet_when_free(channel: grpc.Channel) -> str:
    """A cancelled call leaves the server a moment after it has left the client."""
    while True:
        try:
            return greet(channel)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - any other is a failure


@pytest.mark.parametrize(
    "limit",
    [{"max_message_bytes": 100}, {"options": [("grpc.max_receive_message_length", 100)]}],
    ids=["named", "as-an-option"],
)
def test_a_message_over_the_limit_is_refused(
    kind: str, path: Path, channel: grpc.Channel, limit: dict[str, Any]
) -> None:
    seconds = []
    with Running(kind, path, max_connection_age=60, **limit) as running:
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(grpc.RpcError) as refused:
                greet(channel, "x" * 200)
            seconds.append(time.monotonic() - begun)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        running.stop(at_once=True)
    assert min(seconds) < 0.1, "C-core holds a refusal back for 0.1 s and more, unless it is told not to"


def test_users_interceptors_and_options_take_effect(path: Path, channel: grpc.Channel) -> None:
    class Refuse(grpc.ServerInterceptor):
        def intercept_service(self, _continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
            def refuse(_request: object, context: grpc.ServicerContext) -> None:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, handler_call_details.method)

            return grpc.unary_unary_rpc_method_handler(refuse)

    options = [("grpc.max_metadata_size", 16 * 1024)]
    with Running("sync", path, interceptors=[Refuse()], options=options), pytest.raises(grpc.RpcError) as refused:
        greet(channel)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


class OnlyGreets(GreeterService):
    """A servicer as users begin one: one method is still that of the generated base."""

    GreetInLanguages = greeter_pb2_grpc.GreeterServiceServicer.GreetInLanguages  # type: ignore[assignment]


class OnlyGreetsAsync(AsyncGreeterService):
    GreetInLanguages = greeter_pb2_grpc.GreeterServiceServicer.GreetInLanguages  # type: ignore[assignment]


def test_a_method_that_is_not_written_is_unimplemented(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, [OnlyGreets() if kind == "sync" else OnlyGreetsAsync()]):
        assert greet(channel) == "Hello, Ada!"
        with pytest.raises(grpc.RpcError) as refused:
            next(slow_greetings(channel))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_servicer_is_refused(kind: str, path: Path) -> None:
    with pytest.raises(ServiceError, match="is no servicer"), Running(kind, path, [object()]):
        pass
    assert not path.exists()


@pytest.mark.parametrize(
    ("kind", "service", "remedy"),
    [
        ("sync", AsyncGreeterService, r"samehost_server\.aio\.Server"),
        ("aio", GreeterService, r"samehost_server\.Server"),
    ],
)
def test_a_servicer_of_the_other_kind_is_refused(kind: str, service: type, remedy: str, path: Path) -> None:
    with pytest.raises(ServiceError, match=remedy), Running(kind, path, [service()]):
        pass
    assert not path.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("mode", 0o1777), ("grace", -1), ("max_connection_age", 0), ("max_concurrent_calls", 0), ("max_message_bytes", 0)],
)
def test_an_option_that_cannot_be_is_refused(kind: str, path: Path, option: str, value: int) -> None:
    with pytest.raises(OptionError, match=option):
        Running(kind, path, **{option: value})  # type: ignore[arg-type]


SERVICES = """
from samehost_server.greeter import AsyncGreeterService, GreeterService

class Mine:
    sync = GreeterService()
    aio = [AsyncGreeterService()]

broken = 1 / 0 if __name__ == "broken" else 0
"""


def test_the_program_serves_anyones_servicers(kind: str, path: Path, channel: grpc.Channel) -> None:
    (path.parent / "mine.py").write_text(SERVICES)
    with serving(kind, path, "--services", f"mine:Mine.{kind}", cwd=path.parent):
        assert greet(channel) == "Hello, Ada!"


@pytest.mark.parametrize(
    ("services", "code", "reason"),
    [
        ("mine", 2, "'mine' is not MODULE:ATTRIBUTE"),
        ("absent:x", 1, "No module named 'absent'"),
        ("mine:absent", 1, "no attribute 'absent'"),
        ("broken:x", 1, "ZeroDivisionError"),
        ("mine:broken", 1, "0 is no servicer"),
    ],
)
def test_services_that_cannot_be_loaded_are_one_line(
    kind: str, path: Path, services: str, code: int, reason: str
) -> None:
    for module in ("mine", "broken"):
        (path.parent / f"{module}.py").write_text(SERVICES)
    done = run("samehost_server", "--socket", path, "--services", services, *as_option(kind), cwd=path.parent)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("samehost-server: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_watch_ends_with_the_server_and_does_not_delay_it(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, grace=1000) as running:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=GREETER)
        watches = [stub.Watch(request, timeout=WITHIN) for _ in range(20)]  # type: ignore[attr-defined]
        assert {next(watch).status for watch in watches} == {health_pb2.HealthCheckResponse.SERVING}
        for leaving in watches[10:]:  # while the server says its last word
            leaving.cancel()
        running.stop()
        for watch in watches[:10]:
            assert [response.status for response in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]


def test_a_watch_of_an_unknown_service_says_so(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path):
        request = health_pb2.HealthCheckRequest(service="no.such.Service")
        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=WITHIN)  # type: ignore[attr-defined]
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()
