"""A server takes over the path of a running one without losing a call."""

import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from running import (
    WITHIN,
    Program,
    Running,
    eventually,
    fresh_channel,
    greeter,
    listening,
    program,
    python,
    run,
    serving,
    slow_greetings,
)
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import connect
from samehost_client.health import check
from samehost_common import NotASocketError, SocketAddress
from samehost_server import SocketInUseError


def taken_over(stack: ExitStack, kind: str, path: Path) -> Program:
    return stack.enter_context(serving(kind, path, "--takeover", "--grace", "20"))


@pytest.mark.parametrize(("first", "second"), [("sync", "aio"), ("aio", "sync"), ("sync", "sync"), ("aio", "aio")])
def test_the_old_server_lets_a_stream_finish_and_exits_with_0(first: str, second: str, path: Path) -> None:
    with serving(first, path, "--grace", "20") as old, connect(path, wait=WITHIN) as channel, ExitStack() as stack:
        stream = slow_greetings(channel, 500)
        heard = [next(stream).language]
        inode = path.stat().st_ino
        taken_over(stack, second, path)
        assert path.stat().st_ino != inode
        heard += [each.language for each in stream]
        assert heard == ["de", "en", "es", "fr", "ja"]
        assert old.process.wait(WITHIN) == 0
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"


def test_several_takeovers_lose_no_call(kind: str, path: Path) -> None:
    enough = threading.Event()
    sizes = (64, 1 << 20)

    def call_again_and_again(size: int) -> int:
        calls = 0
        request = greeter_pb2.ConverseRequest(text="a" * min(size, 4096))
        with fresh_channel(path) as channel:
            stub = greeter_pb2_grpc.GreeterServiceStub(channel)
            while not enough.is_set():
                assert stub.Greet(greeter_pb2.GreetRequest(name="Ada"), timeout=WITHIN).message == "Hello, Ada!"
                assert sum(1 for _ in stub.Converse(iter([request] * (size // 4096 or 1)), timeout=WITHIN)) >= 1
                calls += 1
        return calls

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        old = stack.enter_context(serving(kind, path, "--grace", "20"))
        try:
            callers = [pool.submit(call_again_and_again, sizes[number % 2]) for number in range(4)]
            for _ in range(3):
                new = taken_over(stack, kind, path)
                assert old.process.wait(WITHIN) == 0
                old = new
        finally:
            enough.set()
        assert sum(caller.result(WITHIN) for caller in callers) > 20


def test_takeover_without_a_server_just_starts(kind: str, path: Path) -> None:
    with Running(kind, path, takeover=True):
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"


def test_a_file_at_the_path_of_the_control_socket_is_kept(kind: str, path: Path) -> None:
    diary = path.with_name("app.sock.takeover")
    diary.write_text("dear diary")
    with pytest.raises(NotASocketError, match=str(diary)), Running(kind, path):
        pass
    assert diary.read_text() == "dear diary"
    assert not path.exists()


def test_a_server_without_takeover_is_not_taken_over(kind: str, path: Path) -> None:
    with (
        listening(path),
        pytest.raises(SocketInUseError, match=f"no server listens on {path}.takeover"),
        Running(kind, path, takeover=True),
    ):
        pass
    assert path.is_socket()


def test_a_server_keeps_running_after_a_cancelled_takeover(kind: str, path: Path) -> None:
    with Running(kind, path):
        with socket.socket(socket.AF_UNIX) as successor:
            successor.settimeout(WITHIN)
            successor.connect(f"{path}.takeover")
            assert b"released" in successor.recv(4096)
        # The start fails whether or not the lock is held again, because the path is live.
        refused = run("samehost_server", "--socket", path, *greeter("sync"))
        assert refused.returncode == 1
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"

        def lock_is_held() -> bool:
            return "holds" in run("samehost_server", "--socket", path, *greeter("sync")).stderr

        eventually(lock_is_held, "the lock to be taken again")
    assert not path.exists()


def test_a_server_keeps_running_after_its_successor_was_killed_during_the_start(kind: str, path: Path) -> None:
    code = f"""
import os, signal
from samehost_server._socket_file import SocketAddress, SocketFile
SocketFile(SocketAddress.parse({str(path)!r}), mode=0o600, gid=None, owner="test").claim(takeover=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with serving(kind, path) as server:
        assert run_code(code) == -signal.SIGKILL
        with ExitStack() as stack:
            taken_over(stack, kind, path)
            assert server.process.wait(WITHIN) == 0


def run_code(code: str) -> int:
    return subprocess.run([sys.executable, "-c", code], check=False, timeout=WITHIN).returncode


def test_of_two_takeovers_at_once_one_serves_and_the_other_fails_or_follows(kind: str, path: Path) -> None:
    with ExitStack() as stack:
        old = stack.enter_context(serving(kind, path))
        both = [
            stack.enter_context(program("samehost_server", "--socket", path, "--takeover", *greeter(kind)))
            for _ in range(2)
        ]
        with ThreadPoolExecutor(2) as pool:
            lines = list(pool.map(lambda server: server.line(), both))
        assert old.process.wait(WITHIN) == 0
        assert any(lines)
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"
        if not all(lines):
            # Both started at the same time, and the second one failed.
            loser = both[lines.index("")]
            assert loser.process.wait(WITHIN) == 1
            assert loser.process.stderr is not None
            assert f"cannot take over {path}" in loser.process.stderr.read()
        else:
            # They started one after the other, and the second one took over from the first.
            eventually(lambda: sum(server.process.poll() is None for server in both) == 1, "one of both to exit")


def test_only_the_user_of_the_server_can_connect_to_the_control_socket(kind: str, path: Path) -> None:
    with Running(kind, path, mode=0o666):
        control = path.with_name("app.sock.takeover")
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
    assert not control.exists()


def test_a_path_that_is_too_long_for_a_takeover_serves(kind: str, folder: Path) -> None:
    path = folder / ("s" * (107 - len(str(folder)) - 1))
    with Running(kind, path):
        with pytest.raises(SocketInUseError, match=r"no room for \.takeover"), Running(kind, path, takeover=True):
            pass
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"


def test_a_call_that_is_longer_than_the_grace_of_the_old_server_is_cut_off(kind: str, path: Path) -> None:
    with serving(kind, path, "--grace", "0.5") as old, connect(path, wait=WITHIN) as channel, ExitStack() as stack:
        stream = slow_greetings(channel, 60_000)
        next(stream)
        taken_over(stack, kind, path)
        with pytest.raises(grpc.RpcError) as cut:
            next(stream)
        assert cut.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert old.process.wait(WITHIN) == 0


def test_a_server_that_had_no_descriptor_for_a_successor_can_be_taken_over_later(path: Path) -> None:
    # The server has no descriptor for the successor that connects first, and enough for the next one.
    code = f"""
import os, resource, sys, threading
from samehost_server import Server
from samehost_demo.services import GreeterService
server = Server({str(path)!r}, [GreeterService()], max_connection_age=0.1)
with server:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), most))
    print("full", flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, most))
    server.wait()
"""
    with python("-c", code, stdin=subprocess.PIPE) as old:
        assert old.line() == "full\n"
        with socket.socket(socket.AF_UNIX) as successor:
            successor.connect(f"{path}.takeover")
        assert old.process.stdin
        old.process.stdin.write("\n")
        old.process.stdin.flush()
        with serving("sync", path, "--takeover"):
            assert old.process.wait(WITHIN) == 0
            assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"


def test_a_server_that_stops_while_its_successor_is_blocked_leaves_no_names(kind: str, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as successor:
        with Running(kind, path):
            successor.settimeout(WITHIN)
            successor.connect(f"{path}.takeover")
            assert b"released" in successor.recv(4096)
        assert [left.name for left in path.parent.iterdir()] == ["app.sock.lock"]
