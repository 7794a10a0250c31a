"""Cases for servers and the path of their socket. README.md in this folder explains why each case matters."""

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_common import MAX_PATH_BYTES
from samehost_interop.errors import CaseError
from samehost_interop.socket_suite.locks import WHOLE_FILE, lock_of, lockable
from samehost_interop.socket_suite.pair import (
    CALL_SECONDS,
    SERVER_PROMPT_SECONDS,
    Finished,
    Pair,
    bound_by_permissions,
    ends,
    eventually,
    expect,
    finish,
    is_socket,
    listening,
    make_stale,
    names_in,
    open_channel,
    slow_greetings,
)

_UNMASKED = ("sh", "-c", 'umask 0; exec "$@"', "sh")
"""Removes the umask, because a server must not rely on the umask of its parent to keep other users out."""

_IN_OWN_MOUNT_NAMESPACE = ("unshare", "--map-root-user", "--mount")
"""Allows to mount a small file system without privileges. The mount ends with the process."""

_STARTS = 3
"""How often to start a server if one correct start may be luck."""

_BEYOND_GRACE_SECONDS = 2.0 + 3.0
"""The 2 s that PROTOCOL.md allows, and 3 s for a busy machine."""

_IDLE_STOP_SECONDS = 0.9
"""Ten times as long as a JVM takes, and less than the second after which C-core moves clients to another connection."""

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""A client's connection preface: the magic and an empty SETTINGS frame (RFC 9113, 3.4)."""


def replaces_stale(pair: Pair) -> None:
    """A server replaces the socket file of a killed server."""
    with pair.serving() as killed:
        killed.process.kill()
    expect("the socket file of the killed server exists", is_socket(pair.socket), True)
    with pair.serving() as server:
        pair.greets()
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    expect("remaining files in the folder", names_in(pair.folder), {"server.sock.lock"})


def refuses_live(pair: Pair) -> None:
    """A server refuses the path of a running server, with a lock and without, and that server keeps running."""
    with pair.serving():
        pair.refuses("listen.locked")
        pair.greets()
    stranger = pair.folder / "stranger.sock"
    with listening(stranger):
        inode = stranger.stat().st_ino
        pair.refuses("listen.in_use", socket=stranger)
        expect("inode of the other socket", stranger.stat().st_ino, inode)


def refuses_regular_file(pair: Pair) -> None:
    """A server refuses a path with a file or a folder, and keeps it."""
    pair.socket.write_text("dear diary")
    pair.refuses("listen.not_a_socket")
    expect("content of the file", pair.socket.read_text(), "dear diary")
    pair.socket.unlink()
    pair.socket.mkdir()
    pair.refuses("listen.not_a_socket")
    expect("the folder is kept", pair.socket.is_dir(), True)


def refuses_foreign_lock(pair: Pair) -> None:
    """A server refuses a lock that another process holds, and a lock file with data. A running server holds a lock."""
    lock = lock_of(pair.socket)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, WHOLE_FILE)
        pair.refuses("listen.locked")
    lock.write_text("versions = 1\n")
    pair.refuses("listen.lock_data")
    expect("content of a lock file with data", lock.read_text(), "versions = 1\n")
    lock.unlink()
    with pair.serving():
        expect("a lock is held while the server serves", lockable(pair.socket), False)


def mode_and_group(pair: Pair) -> None:
    """The socket has the given mode and group. The defaults are 0660 and the group of the process."""
    # Root can set any group, even one that does not exist. Other users can only set a group that they are in.
    own = os.getegid()
    group = 20100 if os.geteuid() == 0 else next((each for each in os.getgroups() if each != own), own)
    for options, expected in (
        (["--mode", "0600", "--group", str(group)], (0o600, group)),
        ([], (0o660, own)),
    ):
        with pair.serving(*options, before=_UNMASKED) as server:
            found = pair.socket.stat()
            expect("mode and group of the socket", (stat.S_IMODE(found.st_mode), found.st_gid), expected)
            expect("mode of the lock file", stat.S_IMODE(lock_of(pair.socket).stat().st_mode), 0o600)
            # A server that can be taken over has a second socket for its successor.
            public = names_in(pair.folder) - {"server.sock.takeover"}
            expect("files in the folder", public, {"server.sock", "server.sock.lock"})
            server.process.terminate()
            ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
        expect("remaining files in the folder", names_in(pair.folder), {"server.sock.lock"})
    os.chown(pair.folder, -1, group)
    pair.folder.chmod(stat.S_ISGID | stat.S_IRWXU)
    with pair.serving():
        expect("group of a socket in a set-gid folder", pair.socket.stat().st_gid, group)


def never_wider_than_mode(pair: Pair) -> None:
    """At no time does the path have a socket with a wider mode, or a socket without a server."""
    seen: set[str] = set()
    done, pace = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            pace.wait(0.0005)
            with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
                probe.setblocking(False)
                mode = stat.S_IMODE(pair.socket.stat().st_mode)
                seen.add(f"{mode:04o} {errno.errorcode.get(probe.connect_ex(str(pair.socket)), 'connected')}")

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            for _ in range(_STARTS):
                with pair.serving("--mode", "0600", before=_UNMASKED) as server:
                    eventually(lambda: "0600 connected" in seen, "the watcher to connect")
                    server.process.terminate()
                    ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
        finally:
            done.set()
        watching.result()
    # ENOENT: the path was removed between stat and connect. EAGAIN: a server listens, and its queue is full.
    if extra := seen - {"0600 connected", "0600 ENOENT", "0600 EAGAIN"}:
        raise CaseError(f"socket at the path: expected mode 0600 and a server, got {sorted(extra)}")


def ready_means_ready(pair: Pair) -> None:
    """A call right after the ready line succeeds."""
    for _ in range(pair.repeats):
        with pair.serving(), open_channel(pair.socket) as channel:
            greeter_pb2_grpc.GreeterServiceStub(channel).Greet(
                greeter_pb2.GreetRequest(name="Ada"), timeout=CALL_SECONDS
            )


def drains(pair: Pair) -> None:
    """After SIGTERM a server removes its path, reports NOT_SERVING, finishes a stream, and exits with 0."""
    with pair.serving() as server, open_channel(pair.socket) as channel:
        watch: Iterator[health_pb2.HealthCheckResponse] = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        expect("health before SIGTERM", _status(next(watch)), "SERVING")
        stream = slow_greetings(channel, milliseconds=250)
        heard = [next(stream).language]
        server.process.terminate()
        eventually(lambda: not pair.socket.exists(), f"{pair.socket} to be removed after SIGTERM")
        expect("health after SIGTERM", [_status(each) for each in watch], ["NOT_SERVING"])
        heard += [each.language for each in stream]
        expect("a stream in progress at SIGTERM", heard, ["de", "en", "es", "fr", "ja"])
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")


def cuts_what_outlasts_the_grace(pair: Pair) -> None:
    """A server aborts a call that never ends when the grace period is over."""
    with pair.serving("--grace", "0.5") as server, open_channel(pair.socket) as channel:
        stream = slow_greetings(channel, milliseconds=60_000)
        next(stream)
        server.process.terminate()
        with _failing(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            next(stream)
        ends(server.process, pair.deadlines.stop, "the server to stop after the grace period")


def stop_is_bounded(pair: Pair) -> None:
    """A server with silent connections and a call that never ends stops soon after the grace period."""
    with pair.serving("--grace", "1") as server, open_channel(pair.socket) as channel, ExitStack() as stack:
        for sent in (b"", b"PRI * HTTP/2.0", _HTTP2_PREFACE):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(str(pair.socket))
            silent.sendall(sent)
        stream = slow_greetings(channel, milliseconds=60_000)
        next(stream)
        server.process.terminate()
        ends(server.process, 1 + _BEYOND_GRACE_SECONDS, "the server to stop after the grace period of 1 s")


def idle_stop_is_quick(pair: Pair) -> None:
    """A server without clients stops at once."""
    seconds = []
    for _ in range(_STARTS):
        with pair.serving() as server:
            pair.greets()
            begun = time.monotonic()
            server.process.terminate()
            ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
            seconds.append(time.monotonic() - begun)
    if min(seconds) > _IDLE_STOP_SECONDS:
        raise CaseError(
            f"the fastest of {_STARTS} stops: expected at most {_IDLE_STOP_SECONDS} s, got {min(seconds):.2f} s"
        )


def second_signal(pair: Pair) -> None:
    """A second signal stops a server at once, even with calls in progress."""
    with pair.serving("--grace", "1000") as server, open_channel(pair.socket) as channel:
        stream = slow_greetings(channel, milliseconds=60_000)
        next(stream)
        server.process.terminate()
        eventually(lambda: not pair.socket.exists(), f"{pair.socket} to be removed after SIGTERM")
        server.process.terminate()
        ends(server.process, SERVER_PROMPT_SECONDS, "the server to stop at once after a second SIGTERM")


def removes_only_its_own(pair: Pair) -> None:
    """A stopping server does not remove a socket that replaced its own."""
    with pair.serving() as server:
        pair.socket.unlink()
        inode = make_stale(pair.socket)
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    expect("inode of the other socket", is_socket(pair.socket) and pair.socket.stat().st_ino, inode)


def survives_removed_path(pair: Pair) -> None:
    """A server whose path is removed reports it and finishes its calls, or stops with `--on-removed stop`."""
    with pair.serving() as server, open_channel(pair.socket) as channel:
        stream = slow_greetings(channel, milliseconds=500)
        heard = [next(stream).language]
        pair.socket.unlink()
        eventually(lambda: str(pair.socket) in server.process.stderr_tail(), "a line on stderr with the path")
        heard += [each.language for each in stream]
        expect("a stream in progress when the path was removed", heard, ["de", "en", "es", "fr", "ja"])
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    for replaced in (False, True):
        with pair.serving("--on-removed", "stop") as server:
            pair.socket.unlink()
            inode = make_stale(pair.socket) if replaced else None
            finished = finish(server.process, pair.deadlines.stop, "the server whose path was removed to stop")
        expect(f"exit code of a server whose path was removed ({finished.stderr!r})", finished.code, 1)
        pair.expect_message(finished, "serve.removed", str(pair.socket))
        expect("inode of the other socket", is_socket(pair.socket) and pair.socket.stat().st_ino, inode or False)


def path_107_and_108(pair: Pair) -> None:
    """A path of 107 bytes works, also after a killed server. One of 108 is refused before any file is created."""
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp") as short:
        # A path through a descriptor of the folder, such as /proc/self/fd/10/..., is longer than this one.
        pair.socket = Path(short, "s" * (MAX_PATH_BYTES - len(f"{short}/")))
        with pair.serving() as killed:
            killed.process.kill()
        with pair.serving():
            pair.greets()
    deep = pair.folder / ("d" * (MAX_PATH_BYTES - len(str(pair.folder)) - len("//server.sock")))
    deep.mkdir()
    pair.socket = deep / "server.sock"
    expect("length of the path in bytes", len(os.fsencode(pair.socket)), MAX_PATH_BYTES)
    with pair.serving() as server:
        pair.greets()
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
    before = names_in(deep)
    pair.refuses("address.too_long", socket=deep / "server.socks", code=2)
    expect("files in the folder after the refusal", names_in(deep), before)


def folder_missing_or_read_only(pair: Pair) -> None:
    """A server refuses a missing folder, and a folder that it cannot write to."""
    pair.refuses("listen.no_folder", socket=pair.folder / "missing" / "server.sock")
    pair.folder.chmod(0o555)
    try:
        pair.refuses("listen.lock_open", before=bound_by_permissions())
    finally:
        pair.folder.chmod(0o755)
    expect("files in the folder", names_in(pair.folder), set())


def disk_full(pair: Pair) -> None:
    """A server refuses a file system without room for a file or for a byte."""
    if shutil.which(_IN_OWN_MOUNT_NAMESPACE[0]) is None:
        raise CaseError(f"the command '{_IN_OWN_MOUNT_NAMESPACE[0]}' is not on PATH; install util-linux")
    for message, room, filled in (
        ("listen.lock_open", "nr_inodes=1", ":"),
        ("listen.private_folder", "nr_inodes=2", ":"),
        ("listen.lock_write", "size=4k", "head -c 4096 /dev/zero >full"),
    ):
        mounted = f'mount -t tmpfs -o {room} tmpfs "$0" && (cd "$0" && {filled}) && exec "$@"'
        pair.refuses(message, before=(*_IN_OWN_MOUNT_NAMESPACE, "sh", "-c", mounted, str(pair.folder)))


def refuses_wrong_usage(pair: Pair) -> None:
    """A server refuses invalid options in one line with exit code 2, before it creates a file."""
    for options in (
        ("--mode", "0999"),
        ("--mode", "rw"),
        ("--group", "no-such-group"),
        ("--grace", "-1"),
        ("--on-removed", "panic"),
        ("--bogus",),
    ):
        _wrong_usage(pair, "--socket", str(pair.socket), *options)
    for path, message in (
        ("", "address.empty"),
        ("server.sock", "address.relative"),
        ("unix:server.sock", "address.relative"),
        ("unix://two/slashes.sock", "address.host"),
        (f"{pair.folder}/", "address.folder"),
        (f"{pair.folder}/a?b.sock", "address.character"),
    ):
        finished = _wrong_usage(pair, "--socket", path)
        pair.expect_message(finished, message, path)
    _wrong_usage(pair)
    expect("files in the folder", names_in(pair.folder), set())


def _wrong_usage(pair: Pair, *arguments: str) -> Finished:
    finished = pair.run_server(*arguments)
    expect(f"exit code for {arguments} ({finished.stderr!r})", finished.code, 2)
    expect(f"stdout for {arguments}", finished.stdout, "")
    expect(f"lines on stderr for {arguments} ({finished.stderr!r})", len(finished.stderr.splitlines()), 1)
    return finished


@contextmanager
def _failing(*codes: grpc.StatusCode) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        if error.code() not in codes:
            raise CaseError(f"status of the call: expected one of {codes}, got {error.code()}") from error
    else:
        raise CaseError(f"status of the call: expected one of {codes}, got a response")


def _status(response: health_pb2.HealthCheckResponse) -> str:
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)


CASES = {
    case.__name__: case
    for case in (
        replaces_stale,
        refuses_live,
        refuses_regular_file,
        refuses_foreign_lock,
        mode_and_group,
        never_wider_than_mode,
        ready_means_ready,
        drains,
        cuts_what_outlasts_the_grace,
        stop_is_bounded,
        idle_stop_is_quick,
        second_signal,
        removes_only_its_own,
        survives_removed_path,
        path_107_and_108,
        folder_missing_or_read_only,
        disk_full,
        refuses_wrong_usage,
    )
}
"""The cases by name, in the order of the report."""
