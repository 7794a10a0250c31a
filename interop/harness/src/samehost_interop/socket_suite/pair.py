"""The client and the server of a socket case: starts their programs in a folder of their own, and checks results."""

import itertools
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import grpc

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import connect
from samehost_interop.child_process import ChildProcess
from samehost_interop.client import ProtocolError, read_result
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import CaseError
from samehost_interop.messages import matches
from samehost_interop.peers import Peer
from samehost_interop.server import RunningServer, read_ready_line

SERVER_PROMPT_SECONDS = 5.0
"""How long an idle program may take to exit: ten times as long as a JVM on a busy machine."""

CALL_SECONDS = 30.0
"""The deadline of the harness's own calls. They take milliseconds, but the machine may be busy."""

OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
"""A channel argument that gives a channel its own connection. C-core otherwise shares connections in a process."""

_WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""File modes do not bind root, but they do without capabilities, as in a container with `cap_drop: [ALL]`."""


@dataclass(frozen=True)
class Finished:
    """A program that has ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


class Pair:
    """A client and a server with a new private folder.

    Args:
        client: the peer whose `greet` and `interop` run.
        server: the peer whose `serve` runs.
        folder: a new folder, whose path has at most 60 bytes.
        deadlines: how long to wait for programs.
        repeats: how often a case that looks for a rare fault repeats its steps.
        messages: the errors that every language reports in the same words, by name.
    """

    def __init__(
        self,
        client: Peer,
        server: Peer,
        folder: Path,
        deadlines: Deadlines,
        repeats: int,
        *,
        messages: Mapping[str, str],
    ) -> None:
        self.client = client
        self.server = server
        self._messages = messages
        self.folder = folder
        self.socket = folder / "server.sock"
        self.deadlines = deadlines
        self.repeats = repeats
        self.ready: dict[str, str] | None = None

    @contextmanager
    def start(
        self, *options: str, socket: Path | None = None, before: Sequence[str] = (), peer: Peer | None = None
    ) -> Iterator[ChildProcess]:
        """Start a server, and kill it at the end. The words of `before` precede its command."""
        peer = peer or self.server
        words = (*before, *peer.serve, "serve", "--socket", str(socket or self.socket), *options)
        with ChildProcess(words, peer.folder) as process:
            yield process

    @contextmanager
    def serving(
        self, *options: str, socket: Path | None = None, before: Sequence[str] = (), peer: Peer | None = None
    ) -> Iterator[RunningServer]:
        """Start a server, of the pair or of another peer, and wait until it is ready."""
        path, name = socket or self.socket, (peer or self.server).name
        with self.start(*options, socket=path, before=before, peer=peer) as process:
            implementation, version = read_ready_line(process, name, path, self.deadlines.ready)
            self.ready = {"name": name, "implementation": implementation, "version": version}
            yield RunningServer(name, path, implementation, version, process)

    def refuses(
        self, message: str, *options: str, socket: Path | None = None, code: int = 1, before: Sequence[str] = ()
    ) -> None:
        """Fail unless the server refuses to start and prints this message of messages.toml in one line."""
        with self.start(*options, socket=socket, before=before) as process:
            finished = finish(process, self.deadlines.ready, f"the server with {options or 'no options'} to exit")
        expect(f"exit code of a server that cannot start ({finished.stderr!r})", finished.code, code)
        expect("stdout of a server that cannot start", finished.stdout, "")
        self.expect_message(finished, message, str(socket or self.socket))

    def expect_message(self, finished: Finished, message: str, path: str) -> None:
        """Fail unless a program printed this message of messages.toml about a path in one line."""
        line, expected = one_line(finished, path), self._messages[message]
        if not matches(expected, line, path):
            raise CaseError(f"message [{message}]: expected {expected!r}, got {line!r}")

    def run_server(self, *arguments: str) -> Finished:
        """Run `serve` with exactly these arguments until it exits."""
        with ChildProcess((*self.server.serve, "serve", *arguments), self.server.folder) as process:
            return finish(process, self.deadlines.ready, f"serve {arguments} to exit")

    @contextmanager
    def start_greeting(self, *, timeout: float, before: Sequence[str] = ()) -> Iterator[ChildProcess]:
        """Start `greet` of the client."""
        words = (*before, *self.client.client, "greet", "--socket", str(self.socket))
        with ChildProcess((*words, "--name", "Ada", "--timeout", f"{timeout:g}"), self.client.folder) as process:
            yield process

    def greet(self, *, timeout: float = 20.0, before: Sequence[str] = ()) -> Finished:
        """Run `greet` of the client until it exits."""
        with self.start_greeting(timeout=timeout, before=before) as process:
            return finish(process, timeout + self.deadlines.ready, "greet to exit")

    @contextmanager
    def start_calling(self, names: Sequence[str]) -> Iterator[ChildProcess]:
        """Start the client with these official cases, which it runs one after the other."""
        options = itertools.chain.from_iterable(("--case", name) for name in names)
        words = (*self.client.client, "interop", "--socket", str(self.socket), *options)
        with ChildProcess(words, self.client.folder) as process:
            yield process

    def read_result(self, process: ChildProcess, name: str) -> str:
        """Read the result of the client's next official case. Return why it failed, or `""` if it passed."""
        try:
            result = read_result(process, name, self.deadlines.case)
        except ProtocolError as error:
            raise CaseError(process.explain(f"the client {error}")) from None
        return "" if result.passed else result.detail

    def greets(self) -> None:
        """Fail unless the client greets the server with all four kinds of call."""
        greeted(self.greet())

    def cannot_greet(self, message: str, *, timeout: float, before: Sequence[str] = ()) -> None:
        """Fail unless the client exits with 1 and prints this message of messages.toml in one line."""
        finished = self.greet(timeout=timeout, before=before)
        expect(f"exit code of a client that cannot connect ({finished.stderr!r})", finished.code, 1)
        self.expect_message(finished, message, str(self.socket))


def greeted(finished: Finished) -> None:
    """Fail unless the output has the four greetings, in the format of PROTOCOL.md and the Python client."""
    expect(f"exit code of greet ({finished.stderr!r})", finished.code, 0)
    methods = [line for line in finished.stdout.splitlines() if line and not line.startswith(" ")]
    expect("calls that greet printed", methods, ["Greet", "GreetInLanguages", "GreetTogether", "Converse"])
    expect("greet printed the greeting", "  < Hello, Ada!" in finished.stdout.splitlines(), True)


def finish(process: ChildProcess, seconds: float, what: str) -> Finished:
    """Read the output of a program until it exits."""
    end = time.monotonic() + seconds
    stdout = ""
    try:
        while line := process.read_line(end - time.monotonic()):
            stdout += line
        code = process.wait(end - time.monotonic())
    except TimeoutError:
        raise CaseError(process.explain(f"waited {seconds:g} s for {what}")) from None
    return Finished(code, stdout, process.stderr_tail())


def ends(process: ChildProcess, seconds: float, what: str) -> None:
    """Fail unless a program exits with 0 in time."""
    try:
        code = process.wait(seconds)
    except TimeoutError:
        raise CaseError(process.explain(f"waited {seconds:g} s for {what}")) from None
    expect(process.explain(f"exit code: {what}"), code, 0)


def one_line(finished: Finished, path: str) -> str:
    """Return the error of a program. Fail unless it is exactly one line that names the path."""
    lines = finished.stderr.splitlines()
    expect(f"lines on stderr ({finished.stderr!r})", len(lines), 1)
    expect(f"{lines[0]!r} names the path {path}", path in lines[0], True)
    return lines[0]


def expect(what: str, got: object, expected: object) -> None:
    """Fail unless two values are equal."""
    if got != expected:
        raise CaseError(f"{what}: expected {expected!r}, got {got!r}")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Poll a condition until it is true. Fail with `what` if that takes too long."""
    deadline = time.monotonic() + seconds
    pace = Event()
    while not condition():
        if time.monotonic() > deadline:
            raise CaseError(f"waited {seconds:g} s for {what}")
        pace.wait(0.01)


def bound_by_permissions() -> Sequence[str]:
    """Return the words before a command that make file modes apply to it, even if this process is root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which(_WITHOUT_CAPABILITIES[0]) is None:
        raise CaseError("the command 'setpriv' is not on PATH; install util-linux, or run as a user other than root")
    return _WITHOUT_CAPABILITIES


def make_stale(path: Path) -> int:
    """Create a socket file on which no process listens, as SIGKILL leaves it, and return its inode."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path.stat().st_ino


def is_socket(path: Path) -> bool:
    """Return whether the path is a socket."""
    with suppress(OSError):
        return stat.S_ISSOCK(path.lstat().st_mode)
    return False


@contextmanager
def open_channel(path: Path, **options: Any) -> Iterator[grpc.Channel]:
    """Open a channel of samehost_client that shares no connection with other channels of this process."""
    with connect(path, options=[OWN_CONNECTION], **options) as channel:
        yield channel


def slow_greetings(channel: grpc.Channel, milliseconds: int) -> Iterator[greeter_pb2.GreetInLanguagesResponse]:
    """Start a stream of five greetings with a pause between them."""
    request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
    request.interval.FromMilliseconds(milliseconds)
    return iter(greeter_pb2_grpc.GreeterServiceStub(channel).GreetInLanguages(request, timeout=CALL_SECONDS))


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {entry.name for entry in folder.iterdir()}


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a plain socket, like a program without a lock."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener
