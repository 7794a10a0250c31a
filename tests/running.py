"""Servers of both kinds, in this process and as programs, and what else the tests share."""

import asyncio
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import grpc
import pytest

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import connect
from samehost_client.health import check
from samehost_common import SocketAddress
from samehost_common.engine import GRPCIO, chosen_engine
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_server import Server, aio

WITHIN = 20.0
"""Seconds for whatever takes well under a second when nothing is wrong."""


class Running:
    """A server of either kind that runs in this process; `server` is the library's object."""

    def __init__(self, kind: str, address: object, services: Sequence[object] | None = None, **options: Any) -> None:
        self._kind = kind
        self.server = self.make(address, services, **options)
        if kind == "aio":
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever)

    def make(self, address: object, services: Sequence[object] | None = None, **options: Any) -> Any:
        """Another server of the same kind, for `call`."""
        # Shorter than the default, so that a stop takes a moment; what it is for has tests of its own.
        if chosen_engine(options.get("engine")) == GRPCIO:
            options = {"max_connection_age": 0.1, **options}
        if self._kind == "sync":
            return Server(address, services or [GreeterService()], **options)  # type: ignore[arg-type]
        return aio.Server(address, services or [AsyncGreeterService()], **options)  # type: ignore[arg-type]

    def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Calls a server's method, in the loop of the server where it has one."""
        if self._kind == "sync":
            return method(**arguments)
        return asyncio.run_coroutine_threadsafe(method(**arguments), self._loop).result(WITHIN)

    def __enter__(self) -> Self:
        if hasattr(self, "_loop"):
            self._thread.start()
        try:
            self.call(self.server.start)
        except BaseException:
            self._end_loop()
            raise
        return self

    def stop(self, *, at_once: bool = False) -> None:
        self.call(self.server.stop, at_once=at_once)

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        if hasattr(self, "_loop"):
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(WITHIN)
            self._loop.close()


@dataclass
class Program:
    """A program that runs, with its output as text."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line that it prints."""
        return read_line(self.process.stdout, f"a line of {self.process.args!r}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN)


def read_line(stream: IO[str] | None, what: str) -> str:
    """Reads one line of an unbuffered-by-line pipe, or fails and says what did not come."""
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], WITHIN)
    if not ready:
        pytest.fail(f"waited {WITHIN:g} s for {what}")
    return stream.readline()


def program(*arguments: object, **options: Any) -> "contextlib.AbstractContextManager[Program]":
    """Runs a module of ours as a program, and kills it at the end if it still runs."""
    return python("-m", *arguments, **options)


@contextlib.contextmanager
def python(*arguments: object, **options: Any) -> Iterator[Program]:
    """Runs Python, with `-c` a user's whole program, and kills it at the end if it still runs.

    The words of `launcher`, if there are any, are a program that becomes it.
    """
    process = subprocess.Popen(
        [*options.pop("launcher", ()), sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        **options,
    )
    with process:
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def serving(kind: str, path: Path, *arguments: str, **options: Any) -> Iterator[Program]:
    """Runs `samehost-server` on a path, with Greeter unless it is told what to serve, and goes on when it is ready."""
    services = as_option(kind) if "--services" in arguments else greeter(kind)
    with program("samehost_server", "--socket", path, *arguments, *services, **options) as server:
        line = server.line()
        if not line:
            assert server.process.stderr is not None
            pytest.fail(f"samehost-server ended before it was ready: {server.process.stderr.read()}")
        assert json.loads(line)["event"] == "ready"
        yield server


def as_option(kind: str) -> list[str]:
    """How the programs are told to be asynchronous."""
    return ["--aio"] if kind == "aio" else []


def greeter(kind: str) -> list[str]:
    """How `samehost-server` is told to serve Greeter."""
    name = "async_greeter" if kind == "aio" else "greeter"
    return ["--services", f"samehost_demo.services:{name}", *as_option(kind)]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a module of ours as a program to its end."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=WITHIN,
        **options,
    )


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A plain socket that listens, as another program's would."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WITHIN)
        listener.bind(str(path))
        listener.listen()
        yield listener


class SlowPredecessor:
    """What a successor takes for a server that has the path, and that takes its time to hand it over."""

    def __init__(self, lock: int, listener: socket.socket) -> None:
        self._lock = lock
        self._listener = listener
        self._successor: socket.socket | None = None

    def wait_until_asked(self) -> None:
        """Waits for the successor."""
        self._successor, _ = self._listener.accept()

    def hand_over(self) -> None:
        """Lets the successor have the lock."""
        assert self._successor is not None
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._successor.sendall(b'{"event":"released"}\n')

    def close(self) -> None:
        """Hangs up."""
        if self._successor:
            self._successor.close()


@contextlib.contextmanager
def slow_predecessor(path: Path) -> Iterator[SlowPredecessor]:
    """Holds the lock of a path, and listens for successors."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            listening(path.with_name(f"{path.name}.takeover")) as listener,
            contextlib.closing(SlowPredecessor(lock, listener)) as predecessor,
        ):
            yield predecessor
    finally:
        os.close(lock)


def make_stale(path: Path) -> None:
    """Leaves a socket file on which nobody listens, as SIGKILL does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def eventually(condition: Callable[[], bool], what: str, pace: float = 0.01) -> None:
    """Waits for something that nobody announces, or fails and says what did not come."""
    deadline = time.monotonic() + WITHIN
    never = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WITHIN:g} s for {what}")
        never.wait(pace)


def slow_greetings(channel: grpc.Channel, milliseconds: int = 200) -> Any:
    """A stream in progress: five greetings with a pause between them."""
    request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
    request.interval.FromMilliseconds(milliseconds)
    return greeter_pb2_grpc.GreeterServiceStub(channel).GreetInLanguages(request, timeout=WITHIN)


def fresh_channel(path: Path) -> grpc.Channel:
    """A channel that shares no connection with another one of this process."""
    return connect(path, options=[("grpc.use_local_subchannel_pool", 1)])


class Unavailable(grpc.ServerInterceptor):
    """Answers the first calls of a server with UNAVAILABLE, and counts them all."""

    def __init__(self, times: int, pushback: str | None) -> None:
        self.calls = 0
        self.metadata: list[dict[str, Any]] = []
        self._times = times
        self._pushback = pushback
        self._lock = threading.Lock()

    def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        with self._lock:
            self.calls += 1
            self.metadata.append(dict(handler_call_details.invocation_metadata))
            if self.calls > self._times:
                return continuation(handler_call_details)

        def refuse(_request: Any, context: grpc.ServicerContext) -> None:
            if self._pushback:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", self._pushback),))
            context.abort(grpc.StatusCode.UNAVAILABLE, json.dumps(self.calls))

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextlib.contextmanager
def refusing(path: Path, times: int, pushback: str | None = None) -> Iterator[Unavailable]:
    interceptor = Unavailable(times, pushback)
    with Running("sync", path, interceptors=[interceptor]):
        yield interceptor


NOBODY = 65534
"""The user and group without rights, by number as everywhere on Linux."""


def run_without_rights(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a module of ours as a program for somebody whom permissions bind, also where the tests run as root.

    The rights are dropped inside, since nobody may read the interpreter of a root user's own folder.
    """
    code = f"""
import asyncio, concurrent.futures.thread, importlib, os, sys
from samehost_common.tuning import tune
tune()  # as the program does, before grpc is imported
program = importlib.import_module("{module}.__main__")
importlib.import_module("{module}.commands")
importlib.import_module("samehost_demo.services")
if os.geteuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.argv = {["program", *map(str, arguments)]!r}
program.main()
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=WITHIN)


def required() -> bool:
    """Whether what is missing on this machine is a failure, as in CI, and no reason to skip."""
    return os.environ.get("SAMEHOST_REQUIRE") == "all"


def serves(path: Path) -> bool:
    """Tells whether a server answers at a path."""
    return check(SocketAddress(path), timeout=WITHIN) == "SERVING"
