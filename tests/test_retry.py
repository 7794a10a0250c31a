"""Idempotent calls are retried when their server dies, and others are not."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from running import WITHIN, Running, Unavailable, eventually, refusing, serving
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import aio, connect
from samehost_client.retry import Budget
from samehost_demo.services import GreeterService

GREET = "samehost.greeter.v1.GreeterService/Greet"
OWN = [("grpc.use_local_subchannel_pool", 1)]


def greet(kind: str, path: Path, idempotent: list[str], timeout: float | None = WITHIN, **options: Any) -> str:
    request = greeter_pb2.GreetRequest(name="Ada")

    async def greet_in_loop() -> str:
        async with await aio.connect(path, idempotent=idempotent, options=OWN) as channel:
            return (
                await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout, **options)
            ).message

    if kind == "aio":
        return asyncio.run(greet_in_loop())
    with connect(path, idempotent=idempotent, options=OWN) as channel:
        return greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout, **options).message


@pytest.mark.parametrize("name", [GREET, "samehost.greeter.v1.GreeterService"])
def test_a_listed_method_or_service_is_retried(kind: str, path: Path, name: str) -> None:
    with refusing(path, 3) as server:
        assert greet(kind, path, [name]) == "Hello, Ada!"
        assert server.calls == 4


@pytest.mark.parametrize("idempotent", [[], ["samehost.greeter.v1.GreeterService/Converse"]])
def test_other_methods_are_not_retried(kind: str, path: Path, idempotent: list[str]) -> None:
    with refusing(path, 3) as server:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, idempotent)
        assert server.calls == 1


def test_a_call_without_a_deadline_is_not_retried(kind: str, path: Path) -> None:
    with refusing(path, 3) as server:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, [GREET], timeout=None)
        assert server.calls == 1


def test_retries_end_at_the_deadline_with_the_last_status_of_the_server(kind: str, path: Path) -> None:
    with refusing(path, 1_000_000) as server, pytest.raises(grpc.RpcError) as failed:
        greet(kind, path, [GREET], timeout=0.5)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert str(failed.value.details()) == str(server.calls)


def test_a_call_without_wait_for_ready_fails_at_once(kind: str, path: Path) -> None:
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        greet(kind, path, [GREET], wait_for_ready=False)


def test_a_server_can_forbid_retries(kind: str, path: Path) -> None:
    with refusing(path, 3, pushback="-1") as server:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, [GREET])
        assert server.calls == 1


def test_a_server_can_delay_a_retry(kind: str, path: Path) -> None:
    with refusing(path, 1, pushback="300") as server:
        begun = time.monotonic()
        assert greet(kind, path, [GREET]) == "Hello, Ada!"
        assert time.monotonic() - begun >= 0.3
        assert server.calls == 2


def test_metadata_of_an_iterator_is_sent_with_every_attempt(path: Path) -> None:
    with refusing(path, 2) as server, connect(path, idempotent=[GREET], options=OWN) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        metadata: Any = iter([("key", "value")])
        stub.Greet(greeter_pb2.GreetRequest(name="Ada"), timeout=WITHIN, metadata=metadata)
        assert [sent["key"] for sent in server.metadata] == ["value"] * 3


def test_the_retries_of_a_channel_have_a_budget() -> None:
    budget = Budget()
    taken = sum(budget.take() for _ in range(2000))
    assert taken == 1000
    for _ in range(10):
        budget.give()
    assert [budget.take(), budget.take()] == [True, False], "ten successes earn one retry"


@pytest.fixture
def slow(path: Path) -> Iterator[grpc.Channel]:
    """A channel to a server that refuses its first calls and answers the others slowly."""

    class Slow(GreeterService):
        def Greet(self, request: greeter_pb2.GreetRequest, context: grpc.ServicerContext) -> greeter_pb2.GreetResponse:
            threading.Event().wait(0.3)
            return super().Greet(request, context)

    with (
        Running("sync", path, [Slow()], interceptors=[Unavailable(4, None)]),
        connect(path, idempotent=[GREET], options=OWN) as channel,
    ):
        yield channel


def begin(channel: grpc.Channel) -> Any:
    stub: Any = greeter_pb2_grpc.GreeterServiceStub(channel)
    return stub.Greet.future(greeter_pb2.GreetRequest(name="Ada"), timeout=WITHIN)


def test_futures_run_in_parallel(slow: grpc.Channel) -> None:
    calls = [begin(slow) for _ in range(4)]
    assert not any(call.done() for call in calls)
    ended = threading.Event()
    calls[0].add_done_callback(lambda _: ended.set())
    assert [call.result(WITHIN).message for call in calls] == ["Hello, Ada!"] * 4
    assert ended.wait(WITHIN)
    assert {call.code() for call in calls} == {grpc.StatusCode.OK}


def test_a_future_without_a_server_returns_at_once_and_can_be_cancelled(path: Path) -> None:
    with connect(path, idempotent=[GREET], options=OWN) as channel:
        call = begin(channel)
        with pytest.raises(grpc.FutureTimeoutError):
            call.result(0.01)
        assert call.cancel()
        assert call.cancelled()
        with pytest.raises(grpc.FutureCancelledError):
            call.result(WITHIN)


def test_a_future_is_cancelled_between_two_attempts(path: Path) -> None:
    with (
        refusing(path, 1_000_000, pushback="5000") as server,
        connect(path, idempotent=[GREET], options=OWN) as channel,
    ):
        call = begin(channel)
        eventually(lambda: server.calls == 1, "the first attempt")
        assert call.cancel()
        with pytest.raises(grpc.FutureCancelledError):
            call.result(WITHIN)


def test_a_retry_waits_for_a_server_that_starts_again(kind: str, path: Path) -> None:
    with serving(kind, path) as server:
        server.end(signal.SIGKILL)
    timer = threading.Timer(0.3, lambda: started.enter_context(Running("sync", path)))
    with contextlib.ExitStack() as started:
        timer.start()
        try:
            assert greet(kind, path, [GREET]) == "Hello, Ada!"
        finally:
            timer.join()
