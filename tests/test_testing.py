"""The helpers with which users test their services: each server has its own path and stops at once."""

import tempfile
import time
from pathlib import Path

import grpc
import pytest

from running import WITHIN, fresh_channel, slow_greetings
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import aio
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_server import ServiceError, SocketAddress
from samehost_server.testing import serving, serving_async

ADA = greeter_pb2.GreetRequest(name="Ada")


def test_serving_removes_its_folder() -> None:
    with serving([GreeterService()]) as address, fresh_channel(address.path) as channel:
        assert greeter_pb2_grpc.GreeterServiceStub(channel).Greet(ADA, timeout=WITHIN).message == "Hello, Ada!"
        assert address.path.parent.stat().st_mode & 0o777 == 0o700
    assert not address.path.parent.exists()


async def test_serving_async_removes_its_folder() -> None:
    async with serving_async([AsyncGreeterService()]) as address, aio.connect(address, wait=WITHIN) as channel:
        greeting = await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(ADA, timeout=WITHIN)
        assert greeting.message == "Hello, Ada!"
    assert not address.path.parent.exists()


def test_serving_cuts_off_calls_and_does_not_wait_for_clients() -> None:
    with serving([GreeterService()], grace=60, max_connection_age=60) as address:
        channel = fresh_channel(address.path)
        stream = slow_greetings(channel, 10_000)
        next(stream)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1, "it takes 10 ms"
    with channel, pytest.raises(grpc.RpcError):
        next(stream)


async def test_serving_async_cuts_off_calls() -> None:
    async with serving_async([AsyncGreeterService()], grace=60, max_connection_age=60) as address:
        channel = await aio.connect(address)
        request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
        request.interval.FromSeconds(10)
        stream = greeter_pb2_grpc.GreeterServiceStub(channel).GreetInLanguages(request, timeout=WITHIN)
        await stream.read()
        begun = time.monotonic()
    assert time.monotonic() - begun < 1, "it takes 10 ms"
    with pytest.raises(grpc.RpcError):
        await stream.read()
    await channel.close()


def test_several_servers_run_with_a_long_path_of_temporary_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with serving([GreeterService()]) as one, serving([GreeterService()]) as two:
        assert one != two
        assert SocketAddress.parse(str(one)) == one, "the path is short enough"


def test_serving_removes_its_folder_after_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(ServiceError), serving([AsyncGreeterService()]):
        pass
    assert not list(folder.iterdir())
