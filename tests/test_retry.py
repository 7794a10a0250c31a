"""Idempotent calls are made again when their server dies, and no others."""

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from running import WITHIN, Running, serving
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import aio, connect

GREET = "samehost.greeter.v1.GreeterService/Greet"
OWN = [("grpc.use_local_subchannel_pool", 1)]


class Unavailable(grpc.ServerInterceptor):
    """Answers the first calls of a server with UNAVAILABLE, and counts them all."""

    def __init__(self, times: int) -> None:
        self.calls = 0
        self._times = times
        self._lock = threading.Lock()

    def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        with self._lock:
            self.calls += 1
            if self.calls > self._times:
                return continuation(handler_call_details)

        def refuse(_request: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAVAILABLE, json.dumps(self.calls))

        return grpc.unary_unary_rpc_method_handler(refuse)


def greet(kind: str, path: Path, idempotent: list[str], timeout: float | None = WITHIN) -> str:
    request = greeter_pb2.GreetRequest(name="Ada")

    async def greet_in_loop() -> str:
        async with await aio.connect(path, idempotent=idempotent, options=OWN) as channel:
            return (await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout)).message

    if kind == "aio":
        return asyncio.run(greet_in_loop())
    with connect(path, idempotent=idempotent, options=OWN) as channel:
        return greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=timeout).message


@contextlib.contextmanager
def refusing(path: Path, times: int) -> Iterator[Unavailable]:
    interceptor = Unavailable(times)
    with Running("sync", path, interceptors=[interceptor]):
        yield interceptor


@pytest.mark.parametrize("name", [GREET, "samehost.greeter.v1.GreeterService"])
def test_a_method_or_service_that_is_named_is_called_again(kind: str, path: Path, name: str) -> None:
    with refusing(path, 3) as server:
        assert greet(kind, path, [name]) == "Hello, Ada!"
        assert server.calls == 4


@pytest.mark.parametrize("idempotent", [[], ["samehost.greeter.v1.GreeterService/Converse"]])
def test_others_are_not(kind: str, path: Path, idempotent: list[str]) -> None:
    with refusing(path, 3) as server:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, idempotent)
        assert server.calls == 1


def test_a_call_without_a_deadline_is_made_once(kind: str, path: Path) -> None:
    with refusing(path, 3) as server:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, [GREET], timeout=None)
        assert server.calls == 1


def test_the_deadline_ends_it(kind: str, path: Path) -> None:
    with refusing(path, 1_000_000), pytest.raises(grpc.RpcError) as failed:
        greet(kind, path, [GREET], timeout=0.5)
    assert failed.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_it_waits_for_a_server_that_is_started_anew(kind: str, path: Path) -> None:
    with serving(kind, path) as server:
        server.end(signal.SIGKILL)
    timer = threading.Timer(0.3, lambda: started.enter_context(Running("sync", path)))
    with contextlib.ExitStack() as started:
        timer.start()
        try:
            assert greet(kind, path, [GREET]) == "Hello, Ada!"
        finally:
            timer.join()
