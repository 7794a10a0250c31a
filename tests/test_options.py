"""Invalid options fail where they are given. The error names the option and its value."""

import asyncio
import math
from pathlib import Path
from typing import Any

import grpc
import pytest

from running import Running, serving
from samehost_client import OptionError, aio, connect

SERVER = [
    *(("mode", value) for value in (0o1777, -1, "0660", 0.5, None, True)),
    *(("group", value) for value in (-1, 2**32, 1.5)),
    *(("grace", value) for value in (-1, math.nan, math.inf, None, "5")),
    *(("max_connection_age", value) for value in (0, math.nan, math.inf, 1e7)),
    *(("max_concurrent_calls", value) for value in (0, 2.5, 10**6, None)),
    *(("max_message_bytes", value) for value in (0, -1, 4e6, 2**31, None)),
    *(("options", value) for value in (None, {"a": 1}, [("a", 1.5)], [("a", 2**31)], [("a",)], [(1, 2)], "ab")),
    *(("interceptors", value) for value in (None, [object()], [grpc.ServerInterceptor])),
    ("on_removed", "go"),
]

CLIENT = [
    *(("wait", value) for value in (-1, math.nan, "5", 1e12, True)),
    *(("max_message_bytes", value) for value in (0, 4e6, 2**31, None)),
    *(("options", value) for value in (None, {"a": 1}, [("a", 1.5)])),
    *(("interceptors", value) for value in (None, [object()], [grpc.UnaryUnaryClientInterceptor], "ab")),
    *(("compression", value) for value in (2, "gzip", True)),
    *(
        ("idempotent", value)
        for value in (
            "samehost.greeter.v1.GreeterService",
            None,
            [1],
            ["Greet"],
            ["GreeterService/Greet"],
            ["samehost.greeter.v1.GreeterService/Gret"],
            ["samehost.greeter.v1.GreeterService.Greet"],
            ["samehost.greeter.v1.GreeterService/"],
            ["samehost.greeter.v1.GreeterService/Greet/"],
            ["samehost greeter"],
        )
    ),
]


@pytest.mark.parametrize(("option", "value"), SERVER)
def test_a_server_refuses_an_invalid_option(kind: str, path: Path, option: str, value: object) -> None:
    with pytest.raises(OptionError, match=option.removesuffix("s")) as refused:
        Running(kind, path, **{option: value})  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def connect_and_close(kind: str, path: Path, **options: Any) -> None:
    async def in_loop() -> None:
        await (await aio.connect(path, **options)).close()

    if kind == "aio":
        asyncio.run(in_loop())
    else:
        connect(path, **options).close()


@pytest.mark.parametrize(("option", "value"), CLIENT)
def test_a_channel_refuses_an_invalid_option(kind: str, path: Path, option: str, value: object) -> None:
    with pytest.raises(OptionError, match=option.removesuffix("s")) as refused:
        connect_and_close(kind, path, **{option: value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "samehost.greeter.v1.GreeterService",
        "/samehost.greeter.v1.GreeterService/Greet",
        "a.Service/WithoutStubs",
    ],
)
def test_valid_names_of_idempotent_methods(kind: str, path: Path, name: str) -> None:
    connect_and_close(kind, path, idempotent=[name])


def test_an_infinite_wait_waits(kind: str, path: Path) -> None:
    with serving(kind, path):
        connect_and_close(kind, path, wait=math.inf)
