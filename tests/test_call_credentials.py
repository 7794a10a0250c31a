"""Credentials of calls over a Unix socket."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub
from samehost_client import aio, connect
from samehost_demo.services import GreeterService
from samehost_server import Server

WITHIN = 20.0

LOCAL = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)


class Tokens(grpc.ServerInterceptor):
    """Collects the tokens of all calls."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        self.seen += [value for key, value in details.invocation_metadata if key == "x-token"]
        return continuation(details)


class Plugin(grpc.AuthMetadataPlugin):
    def __call__(self, _: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        callback((("x-token", "secret"),), None)


def wait_for_plugins() -> None:
    """Waits for the threads of grpcio's plugins. If a channel closes while one calls back, grpcio may deadlock."""
    for thread in threading.enumerate():
        if thread.name.endswith("(_run)"):
            thread.join(WITHIN)


def test_a_call_carries_credentials_on_a_channel_with_local_credentials(path: Path, engine: str, kind: str) -> None:
    tokens = Tokens()
    token = grpc.metadata_call_credentials(Plugin())
    request = GreetRequest(name="Ada")

    async def call() -> None:
        async with await aio.connect(path, credentials=LOCAL, engine=engine) as channel:
            await GreeterServiceStub(channel).Greet(request, timeout=WITHIN, credentials=token)
            await asyncio.to_thread(wait_for_plugins)

    with Server(path, [GreeterService()], interceptors=[tokens]):
        if kind == "aio":
            asyncio.run(call())
        else:
            with connect(path, credentials=LOCAL, engine=engine) as channel:
                GreeterServiceStub(channel).Greet(request, timeout=WITHIN, credentials=token)
                wait_for_plugins()
    assert tokens.seen == ["secret"]
