"""A server moves its clients to new connections when theirs are old, and loses no call."""

import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import WITHIN, server_sockets, serving, serving_async

AGE = 0.05
MOVES = 5


@pytest.mark.parametrize("serve", [serving, serving_async])
def test_a_client_is_moved_again_and_again_without_losing_a_call(path: Path, serve: Any, channel: Any) -> None:
    done = threading.Event()

    def wait(request: bytes, _: Any) -> bytes:
        assert done.wait(WITHIN)
        return request

    handlers: dict[str, Any] = {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Wait": grpc.unary_unary_rpc_method_handler(wait),
    }
    with serve(path, handlers, max_connection_age=AGE):
        echo, slow = channel.unary_unary("/test.Test/Echo"), channel.unary_unary("/test.Test/Wait")
        long = slow.future(b"long", timeout=WITHIN)
        seen: set[str] = set()
        deadline = time.monotonic() + WITHIN
        while len(seen) <= MOVES:
            assert time.monotonic() < deadline, f"{len(seen)} connections instead of {MOVES + 1}"
            assert echo(b"x", timeout=WITHIN) == b"x"
            seen |= server_sockets(path)
        done.set()
        assert long.result() == b"long"


@pytest.mark.parametrize("serve", [serving, serving_async])
def test_without_an_age_a_client_keeps_its_connection(path: Path, serve: Any, channel: Any) -> None:
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
    with serve(path, handlers):
        echo = channel.unary_unary("/test.Test/Echo")
        seen: set[str] = set()
        end = time.monotonic() + 4 * AGE
        while time.monotonic() < end:
            assert echo(b"x", timeout=WITHIN) == b"x"
            seen |= server_sockets(path)
        assert len(seen) == 1
