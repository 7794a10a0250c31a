"""What a server owes to its successor and its predecessor, of another language too; README.md beside this file."""

import json
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_interop.peers import Peer
from samehost_interop.server import RunningServer
from samehost_interop.socket_suite.locks import lockable
from samehost_interop.socket_suite.pair import (
    CALL_SECONDS,
    Pair,
    ends,
    eventually,
    expect,
    names_in,
    open_channel,
    slow_greetings,
)

_GRACE = ("--grace", "20")
"""More than a stream in progress needs."""


def takes_over_and_is_taken_over(pair: Pair) -> None:
    """A server takes the path of a reference server over, and another of those takes it back: no call fails."""
    reference = pair.client
    with pair.serving(*_GRACE, peer=reference) as first, ExitStack() as stack:
        with _calling(pair):
            second = stack.enter_context(_succeeding(pair, first, pair.server))
            third = stack.enter_context(_succeeding(pair, second, reference))
        pair.greets()
        third.process.terminate()
        ends(third.process, pair.deadlines.stop, "the last server to stop after SIGTERM")
    expect("what is left in the folder", names_in(pair.folder), {"server.sock.lock"})


def resumes_when_its_successor_gives_up(pair: Pair) -> None:
    """A server whose successor goes before it has published takes its lock again and serves on; nobody else may ask."""
    control = pair.socket.with_name(f"{pair.socket.name}.takeover")
    with pair.serving() as server:
        expect("mode of the socket for successors", stat.S_IMODE(control.stat().st_mode), 0o600)
        with socket.socket(socket.AF_UNIX) as successor:
            successor.settimeout(CALL_SECONDS)
            successor.connect(str(control))
            with successor.makefile() as lines:
                expect("what the server says", json.loads(lines.readline()), {"event": "released"})
            expect("the lock is free", lockable(pair.socket), True)
        eventually(lambda: not lockable(pair.socket), "the lock to be taken again")
        pair.greets()
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    expect("what is left in the folder", names_in(pair.folder), {"server.sock.lock"})


@contextmanager
def _succeeding(pair: Pair, old: RunningServer, peer: Peer) -> Iterator[RunningServer]:
    """A server that takes over from another, which is gone when a stream on it has ended well."""
    with open_channel(pair.socket) as channel:
        stream = slow_greetings(channel, milliseconds=250)
        heard = [next(stream).language]
        with pair.serving("--takeover", *_GRACE, peer=peer) as new:
            heard += [each.language for each in stream]
            expect("a stream in progress on the server that was taken over", heard, ["de", "en", "es", "fr", "ja"])
            ends(old.process, pair.deadlines.stop, f"the {old.name} that was taken over to go")
            yield new


@contextmanager
def _calling(pair: Pair) -> Iterator[None]:
    """Calls all the while, and fails if a call does."""
    enough = threading.Event()

    def call() -> int:
        calls = 0
        with open_channel(pair.socket) as channel:
            stub = greeter_pb2_grpc.GreeterServiceStub(channel)
            while not enough.is_set():
                stub.Greet(greeter_pb2.GreetRequest(name="Ada"), timeout=CALL_SECONDS, wait_for_ready=True)
                calls += 1
        return calls

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call)
        try:
            yield
        finally:
            enough.set()
        expect("calls were made meanwhile", calling.result() > 0, True)


CASES = {case.__name__: case for case in (takes_over_and_is_taken_over, resumes_when_its_successor_gives_up)}
"""The cases by name, in the order of the report."""
