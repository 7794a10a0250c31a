"""Helpers of the tests: servers of both kinds, in this process and as programs."""

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
"""The timeout, in seconds, of actions that usually take less than a second."""


class Running:
    """A server of either kind that runs in this process. `server` is the object of the library."""

    def __init__(self, kind: str, address: object, services: Sequence[object] | None = None, **options: Any) -> None:
        self._kind = kind
        self.server = self.make(address, services, **options)
        if kind == "aio":
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever)

    def make(self, address: object, services: Sequence[object] | None = None, **options: Any) -> Any:
        """Creates another server of the same kind, for `call`."""
        # A short age makes stops fast. The age has its own tests.
        if chosen_engine(options.get("engine")) == GRPCIO:
            options = {"max_connection_age": 0.1, **options}
        if self._kind == "sync":
            return Server(address, services or [GreeterService()], **options)  # type: ignore[arg-type]
        return aio.Server(address, services or [AsyncGreeterService()], **options)  # type: ignore[arg-type]

    def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Calls a method of a server, in the event loop of an asyncio server."""
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
    """A running program with text output."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """Reads the next line of its output."""
        return read_line(self.process.stdout, f"a line of {self.process.args!r}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN)


def read_line(stream: IO[str] | None, name: str) -> str:
    """Reads one line of a pipe, or fails and names the line that did not arrive."""
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], WITHIN)
    if not ready:
        pytest.fail(f"waited {WITHIN:g} s for {name}")
    return stream.readline()


def program(*arguments: object, **options: Any) -> "contextlib.AbstractContextManager[Program]":
    """Runs one of our modules as a program, and kills it at the end if it still runs."""
    return python("-m", *arguments, **options)


@contextlib.contextmanager
def python(*arguments: object, **options: Any) -> Iterator[Program]:
    """Runs Python, with `-c` for the program of a user, and kills it at the end if it still runs.

    The option `launcher` is a command that executes the rest of its arguments.
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
    """Runs `samehost-server` on a path until it is ready. It serves Greeter unless `--services` is given."""
    services = as_option(kind) if "--services" in arguments else greeter(kind)
    with program("samehost_server", "--socket", path, *arguments, *services, **options) as server:
        line = server.line()
        if not line:
            assert server.process.stderr is not None
            pytest.fail(f"samehost-server exited before it was ready: {server.process.stderr.read()}")
        assert json.loads(line)["event"] == "ready"
        yield server


def as_option(kind: str) -> list[str]:
    """Returns the option of the programs for asyncio."""
    return ["--aio"] if kind == "aio" else []


def greeter(kind: str) -> list[str]:
    """Returns the options of `samehost-server` to serve Greeter."""
    name = "async_greeter" if kind == "aio" else "greeter"
    return ["--services", f"samehost_demo.services:{name}", *as_option(kind)]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs one of our modules as a program until it exits."""
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
    """Listens on a plain socket, as a program without locks does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WITHIN)
        listener.bind(str(path))
        listener.listen()
        yield listener


class SlowPredecessor:
    """A fake server that hands its path over only when the test wants it."""

    def __init__(self, lock: int, listener: socket.socket) -> None:
        self._lock = lock
        self._listener = listener
        self._successor: socket.socket | None = None

    def wait_for_successor(self) -> None:
        """Waits until a successor connects."""
        self._successor, _ = self._listener.accept()

    def hand_over(self) -> None:
        """Releases the lock for the successor."""
        assert self._successor is not None
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._successor.sendall(b'{"event":"released"}\n')

    def close(self) -> None:
        """Closes the connection."""
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
    """Leaves a socket file without a server, as SIGKILL does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def eventually(condition: Callable[[], bool], event: str, pace: float = 0.01) -> None:
    """Polls a condition, or fails and names the event that did not happen."""
    deadline = time.monotonic() + WITHIN
    never = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WITHIN:g} s for {event}")
        never.wait(pace)


def slow_greetings(channel: grpc.Channel, milliseconds: int = 200) -> Any:
    """Starts a stream of five greetings with pauses between them."""
    request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
    request.interval.FromMilliseconds(milliseconds)
    return greeter_pb2_grpc.GreeterServiceStub(channel).GreetInLanguages(request, timeout=WITHIN)


def fresh_channel(path: Path) -> grpc.Channel:
    """Opens a channel that shares no connection with another one of this process."""
    return connect(path, options=[("grpc.use_local_subchannel_pool", 1)])


class Unavailable(grpc.ServerInterceptor):
    """Answers the first calls of a server with UNAVAILABLE, and counts all calls."""

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
"""The number of the user and group without rights on Linux."""


def run_without_rights(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs one of our modules as a program that permissions apply to, even if the tests run as root.

    The program drops its rights itself, because the user nobody cannot read an interpreter in a folder of root.
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
    """Whether a missing tool fails a test, as in CI, instead of skipping it."""
    return os.environ.get("SAMEHOST_REQUIRE") == "all"


def serves(path: Path) -> bool:
    """Whether a server answers at a path."""
    return check(SocketAddress(path), timeout=WITHIN) == "SERVING"
