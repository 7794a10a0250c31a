"""The channel arguments of grpc that servers and channels set. The `options` of a user replace each of them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

import samehost_client
from running import Running
from samehost_client import connect

BOTH = {
    "grpc.http2.bdp_probe",
    "grpc.http2.lookahead_bytes",
    "grpc.max_receive_message_length",
    "grpc.max_send_message_length",
}
SERVERS = sorted({*BOTH, "grpc.http.tarpit", "grpc.max_connection_age_ms"})
CHANNELS = sorted(
    {
        *BOTH,
        "grpc.default_authority",
        "grpc.initial_reconnect_backoff_ms",
        "grpc.max_reconnect_backoff_ms",
        "grpc.per_rpc_retry_buffer_size",
    }
)

Arguments = list[tuple[str, Any]]


def of_server(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[tuple[str, Any]]) -> Arguments:
    """Returns the channel arguments that a server passes to grpc."""
    passed: Arguments = []
    module, name = (grpc, "server") if kind == "sync" else (grpc.aio, "server")
    plain = getattr(module, name)

    def server(*arguments: Any, **named: Any) -> Any:
        passed.extend(named["options"])
        return plain(*arguments, **named)

    monkeypatch.setattr(module, name, server)
    with Running(kind, path, options=options):
        return passed


def of_channel(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[tuple[str, Any]]) -> Arguments:
    """Returns the channel arguments that a channel passes to grpc."""
    passed: Arguments = []
    module = grpc if kind == "sync" else grpc.aio
    plain = module.insecure_channel

    def insecure_channel(target: str, arguments: Any, **named: Any) -> Any:
        passed.extend(arguments)
        return plain(target, arguments, **named)

    async def connect_in_loop() -> None:
        await (await samehost_client.aio.connect(path, options=options)).close()

    monkeypatch.setattr(module, "insecure_channel", insecure_channel)
    if kind == "sync":
        connect(path, options=options).close()
    else:
        asyncio.run(connect_in_loop())
    return passed


ENDS = pytest.mark.parametrize(("arguments_of", "names"), [(of_server, SERVERS), (of_channel, CHANNELS)])


@ENDS
def test_each_argument_is_set_once(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, names: Sequence[str]
) -> None:
    assert sorted(name for name, _ in arguments_of(kind, path, monkeypatch, [])) == list(names)


@pytest.mark.parametrize(
    ("arguments_of", "name"),
    [*((of_server, name) for name in SERVERS), *((of_channel, name) for name in CHANNELS)],
)
def test_the_value_of_a_user_replaces_that_of_the_library(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, name: str
) -> None:
    value = "shop.example" if name == "grpc.default_authority" else 4321
    passed = arguments_of(kind, path, monkeypatch, [(name, value)])
    assert [given for set_name, given in passed if set_name == name] == [value]


@ENDS
def test_another_argument_of_a_user_is_added(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, names: Sequence[str]
) -> None:
    passed = arguments_of(kind, path, monkeypatch, [("grpc.max_metadata_size", 1 << 14), ("grpc.max_metadata_size", 1)])
    assert len(passed) == len(names) + 1
    assert dict(passed)["grpc.max_metadata_size"] == 1 << 14, "the first of two equal names counts, as in C-core"
