"""The interceptors of a channel see each call once, in their order."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from running import WITHIN, Running, refusing
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import OptionError, aio, connect

GREET = "samehost.greeter.v1.GreeterService/Greet"
IN_LANGUAGES = "samehost.greeter.v1.GreeterService/GreetInLanguages"


class Seeing(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Records the method of each call with the name of the interceptor."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._seen.append(f"{self._name} {client_call_details.method}")
        return continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self.intercept_unary_unary(continuation, client_call_details, request)


class AsyncSeeing(grpc.aio.UnaryUnaryClientInterceptor):
    """Does what Seeing does with asyncio, for calls without streams."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._seen.append(f"{self._name} {client_call_details.method.decode()}")
        return await continuation(client_call_details, request)


class AsyncSeeingStreams(grpc.aio.UnaryStreamClientInterceptor):
    """Does what Seeing does with asyncio, for streams. grpc.aio uses an interceptor for one kind of call."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._seen.append(f"{self._name} {client_call_details.method.decode()}")
        return await continuation(client_call_details, request)


def greet(kind: str, path: Path, interceptors: Sequence[Any], **options: Any) -> None:
    """Makes one call without streams and one with a stream."""
    one, several = greeter_pb2.GreetRequest(name="Ada"), greeter_pb2.GreetInLanguagesRequest(name="Ada")

    async def greet_in_loop() -> None:
        async with aio.connect(path, interceptors=interceptors, **options) as channel:
            stub = greeter_pb2_grpc.GreeterServiceStub(channel)
            await stub.Greet(one, timeout=WITHIN)
            assert len([each async for each in stub.GreetInLanguages(several, timeout=WITHIN)]) == 5

    if kind == "aio":
        asyncio.run(greet_in_loop())
        return
    with connect(path, interceptors=interceptors, **options) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        stub.Greet(one, timeout=WITHIN)
        assert len(list(stub.GreetInLanguages(several, timeout=WITHIN))) == 5


def interceptors_of(kind: str, seen: list[str]) -> Sequence[Any]:
    if kind == "sync":
        return (Seeing("outer", seen), Seeing("inner", seen))
    return [each(name, seen) for name in ("outer", "inner") for each in (AsyncSeeing, AsyncSeeingStreams)]


def test_the_first_one_is_outermost(kind: str, path: Path) -> None:
    seen: list[str] = []
    with Running(kind, path):
        greet(kind, path, interceptors_of(kind, seen), wait=WITHIN)
    assert seen == [f"{who} /{method}" for method in (GREET, IN_LANGUAGES) for who in ("outer", "inner")], (
        "each call once, and no health check"
    )


def test_retries_happen_behind_them(kind: str, path: Path) -> None:
    seen: list[str] = []
    with refusing(path, 3) as server:
        greet(kind, path, interceptors_of(kind, seen)[:1], idempotent=[GREET])
        assert server.calls == 5
    assert seen[0] == f"outer /{GREET}"
    assert seen.count(f"outer /{GREET}") == 1


def test_interceptors_of_the_other_kind_are_refused(kind: str, path: Path) -> None:
    other = {"sync": "aio", "aio": "sync"}[kind]
    expected = {"sync": "instances of grpc.Unary", "aio": "instances of grpc.aio.Unary"}[kind]
    with pytest.raises(OptionError, match=expected):
        greet(kind, path, interceptors_of(other, []))
