"""A peer's program while it runs: lines from its stdout, the end of its stderr, its exit; all with deadlines."""

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
"""Lines of the protocol have some hundred bytes; without a limit, a program that never ends its line fills memory."""

_TAIL_BYTES = 4000
"""About the last fifty lines of a log: enough for a stack trace, small enough to stand beside every failed cell."""


_EXIT_SECONDS = 1
"""Between the end of a program's stdout and its exit there are milliseconds; more means that it goes on without."""

_QUOTED_CHARACTERS = 200
"""As much of a line of rubbish as a person needs to recognise it."""


class ChildProcess:
    """A program in a process group of its own, of which nothing is left when the context ends.

    Its stderr goes to a file that nobody has to read for the program to go on.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        """Starts the program in a folder.

        Raises:
            PeerError: it can't be started.
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
        # Unlike Popen.wait, which sleeps and looks, a pidfd can be waited on; and as it does not reap the process, the
        # number of the group can't be taken by another before __exit__ has killed the group.
        self._pidfd = os.pidfd_open(self._process.pid)
        self._buffer = b""

    def __enter__(self) -> Self:
        """The program runs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills what is left of the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._pidfd)
        self._stdout.close()
        self._stderr.close()

    def read_line(self, seconds: float) -> str:
        """The next line of stdout with its line end; `""` when the program has closed it.

        Raises:
            TimeoutError: no whole line within the deadline.
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
        """The exit code, negative for the signal that ended the program.

        Raises:
            TimeoutError: it still runs at the deadline.
        """
        _wait_until_readable(self._pidfd, seconds)
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - only WNOHANG can give None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def how_it_ended(self) -> str:
        """What a program did that closed its stdout."""
        try:
            return f"exited with code {self.wait(_EXIT_SECONDS)}"
        except TimeoutError:
            return "closed its stdout"

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def terminate(self) -> None:
        """Sends SIGTERM to the program alone, as `docker stop` does."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def pause(self) -> None:
        """Sends SIGSTOP to the whole group, as `docker pause` freezes a container."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused group go on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Sends SIGKILL to the whole group, as `docker kill` does to a container, and waits for the program's end."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(_EXIT_SECONDS)

    def stderr_tail(self) -> str:
        """The end of stderr so far."""
        descriptor = self._stderr.fileno()
        # pread leaves the offset alone, which the program shares and writes at.
        tail = os.pread(descriptor, _TAIL_BYTES, max(0, os.fstat(descriptor).st_size - _TAIL_BYTES))
        return tail.decode(errors="replace").strip()

    def explain(self, fault: str) -> str:
        """The fault, and under it what the program said on stderr."""
        tail = self.stderr_tail()
        return f"{fault}\nstderr:\n{tail}" if tail else f"{fault}\nstderr: nothing"


def quoted(line: str) -> str:
    """A line as messages show it."""
    text = line.rstrip()
    return repr(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}...")


def _wait_until_readable(descriptor: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0, seconds * 1000)):
        raise TimeoutError
