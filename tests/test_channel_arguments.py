"""The channel arguments of grpc that servers and channels set, each of which a user's `options` replace."""

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
    """What a server hands to grpc."""
    handed: Arguments = []
    module, name = (grpc, "server") if kind == "sync" else (grpc.aio, "server")
    plain = getattr(module, name)

    def server(*arguments: Any, **named: Any) -> Any:
        handed.extend(named["options"])
        return plain(*arguments, **named)

    monkeypatch.setattr(module, name, server)
    with Running(kind, path, options=options):
        return handed


def of_channel(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[tuple[str, Any]]) -> Arguments:
    """What a channel hands to grpc."""
    handed: Arguments = []
    module = grpc if kind == "sync" else grpc.aio
    plain = module.insecure_channel

    def insecure_channel(target: str, arguments: Any, **named: Any) -> Any:
        handed.extend(arguments)
        return plain(target, arguments, **named)

    async def connect_in_loop() -> None:
        await (await samehost_client.aio.connect(path, options=options)).close()

    monkeypatch.setattr(module, "insecure_channel", insecure_channel)
    if kind == "sync":
        connect(path, options=options).close()
    else:
        asyncio.run(connect_in_loop())
    return handed


ENDS = pytest.mark.parametrize(("arguments_of", "names"), [(of_server, SERVERS), (of_channel, CHANNELS)])


@ENDS
def test_these_are_set_each_once(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, names: Sequence[str]
) -> None:
    assert sorted(name for name, _ in arguments_of(kind, path, monkeypatch, [])) == list(names)


@pytest.mark.parametrize(
    ("arguments_of", "name"),
    [*((of_server, name) for name in SERVERS), *((of_channel, name) for name in CHANNELS)],
)
def test_a_users_value_replaces_it(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, name: str
) -> None:
    value = "shop.example" if name == "grpc.default_authority" else 4321
    handed = arguments_of(kind, path, monkeypatch, [(name, value)])
    assert [given for set_name, given in handed if set_name == name] == [value]


@ENDS
def test_an_argument_of_the_users_own_is_added(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, arguments_of: Any, names: Sequence[str]
) -> None:
    handed = arguments_of(kind, path, monkeypatch, [("grpc.max_metadata_size", 1 << 14), ("grpc.max_metadata_size", 1)])
    assert len(handed) == len(names) + 1
    assert dict(handed)["grpc.max_metadata_size"] == 1 << 14, "as in C-core, the first of two counts"
