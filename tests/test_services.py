"""The services of a server: any servicers, health that always answers, reflection, and limits."""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from running import WITHIN, Running, as_option, run, serving, slow_greetings
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import CallError, connect
from samehost_client.health import check
from samehost_common import SocketAddress
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_server import OptionError, ServiceError

GREETER = "samehost.greeter.v1.GreeterService"
ADD = "add_GreeterServiceServicer_to_server"
ADDING: Any = greeter_pb2_grpc.add_GreeterServiceServicer_to_server
REFLECTION = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


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


@pytest.mark.parametrize("service", REFLECTION)
def test_reflection_lists_the_services(kind: str, path: Path, channel: grpc.Channel, service: str) -> None:
    with Running(kind, path):
        ask: Any = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=WITHIN)
        names = [service.name for answer in answers for service in answer.list_services_response.service]
        assert names == sorted([GREETER, "grpc.health.v1.Health", *REFLECTION])


def test_health_and_reflection_can_be_left_out(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, with_health=False, with_reflection=False):
        assert greet(channel) == "Hello, Ada!"
        with pytest.raises(CallError, match="UNIMPLEMENTED"):
            check(SocketAddress(path))


def test_calls_over_the_limit_are_refused_at_once_and_health_still_answers(
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


def test_every_end_of_a_call_frees_its_place_in_the_limit(kind: str, path: Path, channel: grpc.Channel) -> None:
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
    """Retries, because a cancelled call ends on the server a moment after it ends on the client."""
    while True:
        try:
            return greet(channel)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - any other status is a failure


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
    assert min(seconds) < 0.1, "C-core delays a refusal by 0.1 s or more, unless an option turns that off"


def test_interceptors_and_options_of_a_user_take_effect(path: Path, channel: grpc.Channel) -> None:
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
    """An incomplete servicer: it inherits one method from the generated base class."""

    GreetInLanguages = greeter_pb2_grpc.GreeterServiceServicer.GreetInLanguages  # type: ignore[assignment]


class OnlyGreetsAsync(AsyncGreeterService):
    GreetInLanguages = greeter_pb2_grpc.GreeterServiceServicer.GreetInLanguages  # type: ignore[assignment]


def test_a_method_that_is_not_implemented_is_unimplemented(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, [OnlyGreets() if kind == "sync" else OnlyGreetsAsync()]):
        assert greet(channel) == "Hello, Ada!"
        with pytest.raises(grpc.RpcError) as refused:
            next(slow_greetings(channel))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_object_that_is_not_a_servicer_is_refused(kind: str, path: Path) -> None:
    with pytest.raises(ServiceError, match="invalid service <object"), Running(kind, path, [object()]):
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


class WrittenElsewhere:
    """A method that is an object, as some libraries create."""

    async def __call__(self, _request: object, _context: object) -> greeter_pb2.GreetResponse:
        return greeter_pb2.GreetResponse(message="called")


def through(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any) -> Any:
        return method(*args)

    return wrapper


@pytest.mark.parametrize("method", [through(AsyncGreeterService().Greet), WrittenElsewhere()])
def test_a_method_behind_a_decorator_is_served(path: Path, channel: grpc.Channel, method: Any) -> None:
    service = AsyncGreeterService()
    service.Greet = method  # type: ignore[method-assign]
    with Running("aio", path, [service]):
        assert greet(channel) in {"Hello, Ada!", "called"}


def test_two_servicers_of_one_service_are_refused(kind: str, path: Path) -> None:
    service = GreeterService if kind == "sync" else AsyncGreeterService
    with pytest.raises(ServiceError, match=f"{GREETER}: two servicers"), Running(kind, path, [service(), service()]):
        pass
    assert not path.exists()


def add_as_old_stubs_do(servicer: greeter_pb2_grpc.GreeterServiceServicer, server: Any) -> None:
    """Does what the stubs of grpcio-tools before 1.64 do: they register no method by its name."""

    class Server:
        add_generic_rpc_handlers = server.add_generic_rpc_handlers

        def add_registered_method_handlers(self, *_: object) -> None:
            pass

    ADDING(servicer, Server())


def test_services_of_older_stubs_are_known_by_name(
    kind: str, path: Path, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[greeter_pb2_grpc.__name__], ADD, add_as_old_stubs_do)
    with Running(kind, path):
        assert greet(channel) == "Hello, Ada!"
        assert check(SocketAddress(path), GREETER) == "SERVING"
    with (
        pytest.raises(ServiceError, match=f"{GREETER}/Greet: it is written with"),
        Running("aio", path, [GreeterService()]),
    ):
        pass


SERVICES = """
from samehost_demo.services import AsyncGreeterService, GreeterService

class Mine:
    sync = GreeterService()
    aio = [AsyncGreeterService()]

number = 0
"""

FAILING = {
    "raises": ("def divide():\n    return 1 / 0\n\ndivide()\n", "in divide", "ZeroDivisionError: division by zero"),
    "misspelt": ("x = 1 +\n", "misspelt.py", "SyntaxError: invalid syntax (misspelt.py, line 1)"),
    "lacking": ("import no_such_library\n", "lacking.py", "ModuleNotFoundError: No module named 'no_such_library'"),
}


def test_the_program_serves_the_servicers_of_a_module(kind: str, path: Path, channel: grpc.Channel) -> None:
    (path.parent / "mine.py").write_text(SERVICES)
    with serving(kind, path, "--services", f"mine:Mine.{kind}", cwd=path.parent):
        assert greet(channel) == "Hello, Ada!"


def test_the_program_requires_services(path: Path) -> None:
    done = run("samehost_server", "--socket", path)
    assert (done.returncode, done.stderr) == (2, "samehost-server: Missing option '--services'.\n")


def test_the_program_serves_the_servicers_of_every_option(kind: str, path: Path) -> None:
    (path.parent / "mine.py").write_text(SERVICES)
    given = ("--services", f"mine:Mine.{kind}", "--services", f"mine:Mine.{kind}")
    done = run("samehost_server", "--socket", path, *given, *as_option(kind), cwd=path.parent)
    assert (done.returncode, "two servicers" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("services", "code", "reason"),
    [
        ("mine", 2, "invalid --services 'mine'"),
        ("absent:x", 1, "No module named 'absent'"),
        ("mine:absent", 1, "no attribute 'absent'"),
        ("mine:number", 1, "invalid service 0"),
    ],
)
def test_services_that_cannot_be_loaded_print_one_line(
    kind: str, path: Path, services: str, code: int, reason: str
) -> None:
    (path.parent / "mine.py").write_text(SERVICES)
    done = run("samehost_server", "--socket", path, "--services", services, *as_option(kind), cwd=path.parent)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("samehost-server: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", FAILING)
def test_a_module_that_fails_prints_its_own_traceback_and_one_line(kind: str, path: Path, module: str) -> None:
    code, shows, reason = FAILING[module]
    (path.parent / f"{module}.py").write_text(code)
    done = run("samehost_server", "--socket", path, "--services", f"{module}:x", *as_option(kind), cwd=path.parent)
    assert (done.returncode, done.stdout) == (1, "")
    *trace, last = done.stderr.splitlines()
    assert last == f"samehost-server: cannot load --services '{module}:x': {reason}; see the traceback above"
    assert shows in "\n".join(trace)
    assert "importlib" not in done.stderr
    assert "samehost_server/" not in done.stderr


def test_a_watch_ends_with_the_server_and_does_not_delay_the_stop(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, grace=1000) as running:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=GREETER)
        watches = [stub.Watch(request, timeout=WITHIN) for _ in range(20)]  # type: ignore[attr-defined]
        assert {next(watch).status for watch in watches} == {health_pb2.HealthCheckResponse.SERVING}
        for leaving in watches[10:]:  # while the server sends the last status
            leaving.cancel()
        running.stop()
        for watch in watches[:10]:
            assert [response.status for response in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]


def test_set_health_is_seen_by_checks_and_watches(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path) as running:
        watch = health_pb2_grpc.HealthStub(channel).Watch(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest(service=GREETER), timeout=WITHIN
        )
        assert next(watch).status == SERVING
        running.server.set_health(GREETER, serving=False)
        assert next(watch).status == NOT_SERVING
        assert check(SocketAddress(path), GREETER) == "NOT_SERVING"
        assert check(SocketAddress(path)) == "SERVING", "the health of the whole server does not change"
        assert greet(channel) == "Hello, Ada!"
        running.server.set_health(GREETER, serving=True)
        assert next(watch).status == SERVING
        with pytest.raises(OptionError, match=f"use one of '', '{GREETER}'"):
            running.server.set_health("no.such.Service", serving=False)
    assert [response.status for response in watch] == [NOT_SERVING]


class OwnHealth(health_pb2_grpc.HealthServicer):
    def Check(self, _request: object, _context: object) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=NOT_SERVING)


class OwnAsyncHealth(health_pb2_grpc.HealthServicer):
    async def Check(self, _request: object, _context: object) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=NOT_SERVING)


def test_a_health_servicer_of_the_user_needs_with_health_false(kind: str, path: Path) -> None:
    own = OwnHealth() if kind == "sync" else OwnAsyncHealth()
    with pytest.raises(ServiceError, match="with_health=False"), Running(kind, path, [own]):
        pass
    with Running(kind, path, [own], with_health=False):
        assert check(SocketAddress(path)) == "NOT_SERVING"


def test_many_watches_do_not_block_calls_and_checks(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path, max_concurrent_calls=2, grace=0):
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        watches = [stub.Watch(request, timeout=WITHIN) for _ in range(50)]  # type: ignore[attr-defined]
        assert {next(watch).status for watch in watches} == {SERVING}
        assert greet(channel) == "Hello, Ada!"
        assert check(SocketAddress(path)) == "SERVING"
        for watch in watches:
            watch.cancel()


@pytest.mark.parametrize("method", [f"{GREETER}/Greet", "grpc.health.v1.Health/Check"])
def test_calls_without_a_message_do_not_block_checks(kind: str, path: Path, channel: grpc.Channel, method: str) -> None:
    enough = threading.Event()

    def nothing_yet() -> Iterator[bytes]:
        enough.wait(WITHIN)
        yield from ()

    with Running(kind, path, max_concurrent_calls=5, grace=0):
        assert check(SocketAddress(path)) == "SERVING"
        begin: Any = channel.stream_unary(f"/{method}")
        calls = [begin.future(nothing_yet(), timeout=WITHIN) for _ in range(20)]
        try:
            for _ in range(20):
                assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"
        finally:
            for call in calls:
                call.cancel()
            enough.set()


def test_a_watch_of_an_unknown_service_gets_service_unknown(kind: str, path: Path, channel: grpc.Channel) -> None:
    with Running(kind, path):
        request = health_pb2.HealthCheckRequest(service="no.such.Service")
        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=WITHIN)  # type: ignore[attr-defined]
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()
