"""Runs a peer's program, and reads its stdout, its stderr and its exit code with deadlines."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from samehost_interop.errors import PeerError

_MAX_LINE_BYTES = 1 << 20
"""Lines of the protocol have some hundred bytes. Without a limit, a program that never ends its line fills memory."""

_TAIL_BYTES = 4000
"""About the last fifty lines of a log: enough for a stack trace, and short enough for a report of many failed cells."""


_EXIT_SECONDS = 1
"""How long to wait for the exit after the end of stdout. An exit takes milliseconds, so a program that takes longer
closed its stdout and keeps running."""

_QUOTED_CHARACTERS = 200
"""How much of an unexpected line to quote."""


class ChildProcess:
    """A program in its own process group, which is killed when the context ends.

    Its stderr goes to a file, so the program never waits for a reader.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        """Start the program in a folder.

        Raises:
            PeerError: the program cannot be started.
        """
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        try:
            self._process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise PeerError(
                f"cannot start {arguments[0]!r}: {error.strerror}; build it, or correct peers.toml"
            ) from error
        assert self._process.stdout is not None  # noqa: S101 - stdout=PIPE
        self._stdout = self._process.stdout
        # Popen.wait polls, but a pidfd can be waited on. It does not reap the process, so no other process group can
        # get the same number before __exit__ kills this one.
        self._pidfd = os.pidfd_open(self._process.pid)
        self._buffer = b""

    def __enter__(self) -> Self:
        """Return the running program."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._pidfd)
        self._stdout.close()
        self._stderr.close()

    def read_line(self, seconds: float) -> str:
        """Return the next line of stdout with its line end, or `""` if the program closed stdout.

        Raises:
            TimeoutError: no complete line arrived in time.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer and len(self._buffer) < _MAX_LINE_BYTES:
            _wait_until_readable(self._stdout.fileno(), deadline - time.monotonic())
            chunk = os.read(self._stdout.fileno(), 1 << 16)
            if not chunk:
                break
            self._buffer += chunk
        line, end, self._buffer = self._buffer.partition(b"\n")
        return (line + end).decode(errors="replace")

    def wait(self, seconds: float) -> int:
        """Return the exit code, or the negative number of the signal that ended the program.

        Raises:
            TimeoutError: the program still runs at the deadline.
        """
        _wait_until_readable(self._pidfd, seconds)
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - only WNOHANG can give None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def how_it_ended(self) -> str:
        """Describe what a program did after it closed its stdout."""
        try:
            return f"exited with code {self.wait(_EXIT_SECONDS)}"
        except TimeoutError:
            return "closed its stdout"

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def terminate(self) -> None:
        """Send SIGTERM to the program only, as `docker stop` does."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def pause(self) -> None:
        """Send SIGSTOP to the process group, as `docker pause` freezes a container."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a paused process group."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to the process group, as `docker kill` does to a container, and wait for the program to end."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(_EXIT_SECONDS)

    def stderr_tail(self) -> str:
        """Return the last part of stderr so far."""
        descriptor = self._stderr.fileno()
        # pread does not change the offset, which the program shares and writes at.
        tail = os.pread(descriptor, _TAIL_BYTES, max(0, os.fstat(descriptor).st_size - _TAIL_BYTES))
        return tail.decode(errors="replace").strip()

    def explain(self, fault: str) -> str:
        """Return the fault, followed by the last part of stderr."""
        tail = self.stderr_tail()
        return f"{fault}\nstderr:\n{tail}" if tail else f"{fault}\nstderr: nothing"


def quoted(line: str) -> str:
    """Quote a line for a message, and shorten it."""
    text = line.rstrip()
    return repr(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}...")


def _wait_until_readable(descriptor: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0, seconds * 1000)):
        raise TimeoutError
