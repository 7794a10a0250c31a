"""The socket file exists while a server runs, and a server never changes the file of another one."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from running import (
    WITHIN,
    Running,
    eventually,
    greeter,
    listening,
    make_stale,
    program,
    run,
    serves,
    serving,
    slow_greetings,
)
from samehost_client import connect
from samehost_common import NotASocketError
from samehost_demo.client import greet
from samehost_server import BindError, OptionError, SocketInUseError


def test_a_call_succeeds_after_the_ready_line(kind: str, path: Path) -> None:
    with program("samehost_server", "--socket", path, *greeter(kind)) as server:
        ready = json.loads(server.line())
        with connect(path) as channel:
            assert len(list(greet(channel, "Ada", WITHIN))) == 4
    assert ready == {
        "event": "ready",
        "address": f"unix:{path}",
        "pid": server.process.pid,
        "implementation": "grpcio-aio" if kind == "aio" else "grpcio",
        "version": grpc.__version__,
    }


def test_the_socket_has_its_mode_and_group_and_only_the_lock_is_left(kind: str, path: Path) -> None:
    group = os.getgid()
    with Running(kind, path, mode=0o640, group=group):
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o640, group)
        lock, control = path.with_name("app.sock.lock"), path.with_name("app.sock.takeover")
        assert sorted(path.parent.iterdir()) == [path, lock, control]
        assert [stat.S_IMODE(own.stat().st_mode) for own in (lock, control)] == [0o600, 0o600]
    assert sorted(path.parent.iterdir()) == [lock]


def test_an_unknown_group_is_refused(kind: str, path: Path) -> None:
    with pytest.raises(OptionError, match="invalid group 'no-such-group'"):
        Running(kind, path, group="no-such-group")


def test_the_next_server_replaces_the_stale_file_of_a_killed_one(kind: str, path: Path) -> None:
    with serving(kind, path) as server:
        server.end(signal.SIGKILL)
    assert path.is_socket()
    with Running(kind, path):
        assert serves(path)


def test_a_server_removes_the_private_folder_of_one_that_was_killed_during_its_start(kind: str, path: Path) -> None:
    code = f"""
import os, signal
from samehost_server._socket_file import SocketAddress, SocketFile
SocketFile(SocketAddress.parse({str(path)!r}), mode=0o600, gid=None, owner="test").claim(takeover=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=WITHIN)
    assert len(list(path.parent.iterdir())) == 2, "the lock and the private folder"
    with Running(kind, path):
        assert serves(path)
    assert [left.name for left in path.parent.iterdir()] == ["app.sock.lock"]


def test_a_live_path_is_refused_and_its_server_keeps_running(kind: str, path: Path) -> None:
    with serving(kind, path) as first:
        for second in ("sync", "aio"):
            refused = run("samehost_server", "--socket", path, *greeter(second))
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr.startswith("samehost-server: ")
            assert f"process {first.process.pid} on host {socket.gethostname()}, holds {path}.lock" in refused.stderr
            assert refused.stderr.count("\n") == 1
        assert serves(path)


def test_a_second_server_of_the_same_process_is_refused_and_does_not_release_the_lock(kind: str, path: Path) -> None:
    with Running(kind, path):
        for _ in range(2):
            with pytest.raises(SocketInUseError), Running(kind, path):
                pass
        refused = run("samehost_server", "--socket", path, *greeter("sync"))
        assert refused.returncode == 1
        assert serves(path)


def test_of_two_servers_started_at_once_one_serves_and_the_other_names_it(kind: str, path: Path) -> None:
    make_stale(path)
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(program("samehost_server", "--socket", path, *greeter(kind))) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            lines = list(pool.map(lambda server: server.line(), both))
        winner, loser = both if lines[0] else reversed(both)
        assert sorted(map(bool, lines)) == [False, True]
        assert loser.process.wait(WITHIN) == 1
        assert loser.process.stderr is not None
        assert f"process {winner.process.pid} on host" in loser.process.stderr.read()
        assert serves(path)


def test_a_refusal_names_a_server_that_writes_its_name_after_it_took_the_lock(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samehost_server._lock._RECORD_SECONDS", WITHIN)
    read = threading.Event()
    pread = os.pread

    def observed(descriptor: int, size: int, offset: int) -> bytes:
        text = pread(descriptor, size, offset)
        read.set()
        return text

    monkeypatch.setattr(os, "pread", observed)

    def start() -> None:
        with Running(kind, path):
            pass

    with path.with_name("app.sock.lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = pool.submit(start)
        assert read.wait(WITHIN), "the server did not look for the holder of the lock"
        json.dump({"pid": 42, "host": "app", "implementation": "other"}, lock)
        lock.flush()
        with pytest.raises(SocketInUseError, match=rf"other, process 42 on host app, holds {path}\.lock"):
            refused.result(WITHIN)


def test_the_path_of_a_server_without_a_lock_is_refused_and_kept(kind: str, path: Path) -> None:
    with listening(path), pytest.raises(SocketInUseError, match=f"{path}: .* answers there"), Running(kind, path):
        pass
    assert path.is_socket()


@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf], ids=["flock", "record-lock"])
def test_both_kinds_of_lock_are_respected(kind: str, path: Path, lock: object) -> None:
    name = getattr(lock, "__name__", "")
    held = f"""
import fcntl
file = open({str(path) + ".lock"!r}, "w")
fcntl.{name}(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SocketInUseError, match="another process holds"), Running(kind, path):
            pass
        other.kill()
    with Running(kind, path):
        assert serves(path)


@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf], ids=["flock", "record-lock"])
def test_a_server_holds_both_kinds_of_lock(kind: str, path: Path, lock: object) -> None:
    name = getattr(lock, "__name__", "")
    take = f"import fcntl; fcntl.{name}(open({str(path) + '.lock'!r}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with Running(kind, path):
        taken = subprocess.run(
            [sys.executable, "-c", take], capture_output=True, text=True, check=False, timeout=WITHIN
        )
        assert "BlockingIOError" in taken.stderr


def test_a_file_that_is_not_a_socket_is_refused_and_kept(kind: str, path: Path) -> None:
    path.write_text("dear diary")
    with pytest.raises(NotASocketError, match=str(path)), Running(kind, path):
        pass
    assert path.read_text() == "dear diary"


def test_a_lock_file_with_other_data_is_refused_and_kept(kind: str, path: Path) -> None:
    lock = path.with_name("app.sock.lock")
    lock.write_text("versions = 1")
    with pytest.raises(BindError, match=f"{lock} holds the data"), Running(kind, path):
        pass
    assert lock.read_text() == "versions = 1"


def test_a_server_removes_only_its_own_file(kind: str, path: Path) -> None:
    with Running(kind, path):
        path.unlink()
        make_stale(path)
        others = path.stat().st_ino
    assert path.stat().st_ino == others


def test_another_server_can_start_on_the_path_while_the_first_one_drains(kind: str, path: Path) -> None:
    with serving(kind, path, "--grace", "10") as first, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel)
        next(stream)
        first.process.terminate()
        eventually(lambda: not path.exists(), f"{path} to be removed")
        with Running(kind, path):
            assert serves(path)
            assert first.process.poll() is None
            assert len(list(stream)) == 4
        assert first.process.wait(WITHIN) == 0


def test_the_longest_path_serves(kind: str, folder: Path) -> None:
    deep = folder / ("d" * (107 - len(str(folder)) - len("//app.sock")))
    deep.mkdir()
    path = deep / "app.sock"
    assert len(str(path)) == 107
    with Running(kind, path):
        assert serves(path)


def test_the_socket_is_never_seen_with_a_wider_mode_or_without_a_server(kind: str, path: Path) -> None:
    seen: set[str] = set()
    done, pace = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            pace.wait(0.0005)  # without it, the server runs out of descriptors
            with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
                probe.setblocking(False)
                mode = stat.S_IMODE(path.stat().st_mode)
                seen.add(f"{mode:04o} {errno.errorcode.get(probe.connect_ex(str(path)), 'connected')}")

    umask = os.umask(0)
    try:
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            for _ in range(10):
                with Running(kind, path, mode=0o600):
                    assert serves(path)
            done.set()
            watching.result(WITHIN)
    finally:
        os.umask(umask)
    # ENOENT: the path was removed between stat and connect. EAGAIN: a server listens, and its queue is full.
    assert {"0600 connected"} <= seen <= {"0600 connected", "0600 ENOENT", "0600 EAGAIN"}
