"""Cases for takeovers, also between languages. README.md in this folder explains why each case matters."""

import json
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_common import MAX_PATH_BYTES
from samehost_interop.peers import Peer
from samehost_interop.server import RunningServer
from samehost_interop.socket_suite.locks import lock_of, lockable, take
from samehost_interop.socket_suite.pair import (
    CALL_SECONDS,
    Pair,
    ends,
    eventually,
    expect,
    listening,
    make_stale,
    names_in,
    open_channel,
    slow_greetings,
)

_GRACE = ("--grace", "20")
"""More than a stream in progress needs."""


def takes_over_and_is_taken_over(pair: Pair) -> None:
    """A server takes over the path of a reference server, a reference server takes it back, and no call fails."""
    reference = pair.client
    with pair.serving(*_GRACE, peer=reference) as first, ExitStack() as stack:
        with _calling(pair):
            second = stack.enter_context(_succeeding(pair, first, pair.server))
            third = stack.enter_context(_succeeding(pair, second, reference))
        pair.greets()
        third.process.terminate()
        ends(third.process, pair.deadlines.stop, "the last server to stop after SIGTERM")
    expect("remaining files in the folder", names_in(pair.folder), {"server.sock.lock"})


def resumes_when_its_successor_gives_up(pair: Pair) -> None:
    """If the successor disconnects early, the server takes its lock again and keeps serving."""
    control = pair.socket.with_name(f"{pair.socket.name}.takeover")
    with pair.serving() as server:
        expect("mode of the socket for successors", stat.S_IMODE(control.stat().st_mode), 0o600)
        with _connected_successor(pair):
            expect("the lock is free", lockable(pair.socket), True)
        eventually(lambda: not lockable(pair.socket), "the server to take the lock again")
        pair.greets()
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    expect("remaining files in the folder", names_in(pair.folder), {"server.sock.lock"})


def takes_over_without_a_lock_file(pair: Pair) -> None:
    """A server takes over after someone has removed the lock file, so that the lock shows no server."""
    with pair.serving(*_GRACE, peer=pair.client) as first:
        lock_of(pair.socket).unlink()
        with _succeeding(pair, first, pair.server) as second:
            lock_of(pair.socket).unlink()
            with _succeeding(pair, second, pair.client):
                pair.greets()


def takes_over_a_long_path(pair: Pair) -> None:
    """A server takes over a path that leaves just enough room for `.takeover`."""
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp") as short:
        # A path through a descriptor of the folder, such as /proc/self/fd/10/..., is longer than this one.
        pair.socket = Path(short, "s" * (MAX_PATH_BYTES - len(f"{short}/.takeover")))
        with (
            pair.serving(*_GRACE, peer=pair.client) as first,
            _succeeding(pair, first, pair.server) as second,
            _succeeding(pair, second, pair.client),
        ):
            pair.greets()


def refuses_an_impossible_takeover(pair: Pair) -> None:
    """A server refuses to take over from a server without a takeover socket, or with one that does not answer."""
    control = pair.socket.with_name(f"{pair.socket.name}.takeover")
    with listening(pair.socket):
        pair.refuses("takeover.not_allowed", "--takeover")
        make_stale(control)
        pair.refuses("takeover.not_allowed", "--takeover")
        control.unlink()
        with listening(control):
            pair.refuses("takeover.no_answer", "--takeover")
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp") as short:
        long = Path(short, "s" * (MAX_PATH_BYTES - len(f"{short}/.takeover") + 1))
        with listening(long):
            pair.refuses("takeover.name_too_long", "--takeover", socket=long)


def silent_successor(pair: Pair) -> None:
    """If a successor sends nothing or invalid data, the server keeps serving and can still be taken over."""
    with pair.serving(*_GRACE) as server:
        for invalid in (b"[" * 4000 + b"\n", b"{}\n", b"\xff\n", b"x" * 10_000):
            with _connected_successor(pair) as successor:
                successor.sendall(invalid)
                eventually(lambda: not lockable(pair.socket), f"the server to take the lock after {invalid[:9]!r}...")
        with _connected_successor(pair):
            pair.greets()
            eventually(lambda: not lockable(pair.socket), "the server to take the lock back from a silent successor")
            with _succeeding(pair, server, pair.client):
                pair.greets()


def successor_dies_at_each_step(pair: Pair) -> None:
    """If a successor dies after it has taken the lock and none, one or both of the names, the server keeps serving."""
    control = pair.socket.with_name(f"{pair.socket.name}.takeover")
    with pair.serving(*_GRACE) as server:
        for names in ((), (control,), (control, pair.socket), (pair.socket,)):
            with _connected_successor(pair), lock_of(pair.socket).open("r+") as lock:
                expect("the successor can take the lock", take(lock), True)
                for name in names:
                    make_stale(pair.folder / "own")
                    (pair.folder / "own").rename(name)
            eventually(lambda: not lockable(pair.socket), f"the server to take the lock after {len(names)} names")
            pair.greets()
        with _succeeding(pair, server, pair.client) as successor:
            pair.greets()
            successor.process.terminate()
            ends(successor.process, pair.deadlines.stop, "the last server to stop after SIGTERM")
    expect("remaining files in the folder", names_in(pair.folder), {"server.sock.lock"})


@contextmanager
def _connected_successor(pair: Pair) -> Iterator[socket.socket]:
    """Connect as a successor, and wait until the server has released the lock."""
    with socket.socket(socket.AF_UNIX) as successor:
        successor.settimeout(CALL_SECONDS)
        successor.connect(f"{pair.socket}.takeover")
        with successor.makefile() as lines:
            expect("message of the server", json.loads(lines.readline()), {"event": "released"})
        yield successor


@contextmanager
def _succeeding(pair: Pair, old: RunningServer, peer: Peer) -> Iterator[RunningServer]:
    """Start a server that takes over from another. Fail unless the old one finishes a stream and exits."""
    with open_channel(pair.socket) as channel:
        stream = slow_greetings(channel, milliseconds=250)
        heard = [next(stream).language]
        with pair.serving("--takeover", *_GRACE, peer=peer) as new:
            heard += [each.language for each in stream]
            expect("a stream in progress on the server that was taken over", heard, ["de", "en", "es", "fr", "ja"])
            ends(old.process, pair.deadlines.stop, f"the server {old.name} to exit after the takeover")
            yield new


@contextmanager
def _calling(pair: Pair) -> Iterator[None]:
    """Make calls during the block, and fail if one of them fails."""
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
        expect("calls were made during the takeovers", calling.result() > 0, True)


CASES = {
    case.__name__: case
    for case in (takes_over_and_is_taken_over, takes_over_without_a_lock_file, takes_over_a_long_path)
}
"""The cases in which another server takes over, by name, in the order of the report."""

HARNESS_CASES = {
    case.__name__: case
    for case in (
        refuses_an_impossible_takeover,
        resumes_when_its_successor_gives_up,
        silent_successor,
        successor_dies_at_each_step,
    )
}
"""The cases in which the harness is the successor, or the server to be taken over."""
