"""The socket of a running server is removed or replaced."""

from pathlib import Path

import pytest

from running import WITHIN, listening, read_line, serving, slow_greetings
from samehost_client import connect
from samehost_server import OptionError, Server


def test_the_server_logs_it_and_the_calls_in_progress_finish(kind: str, path: Path) -> None:
    with serving(kind, path) as server, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel, 500)
        next(stream)
        path.unlink()
        line = read_line(server.process.stderr, "the warning of the server")
        assert str(path) in line
        assert "removed" in line
        assert len(list(stream)) == 4
        assert server.end() == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_on_removed_stop_exits_with_1(kind: str, path: Path, replaced: bool) -> None:
    with serving(kind, path, "--on-removed", "stop") as server:
        path.unlink()
        if replaced:
            with listening(path):
                assert server.process.wait(WITHIN) == 1
            assert path.is_socket(), "the socket of another server is kept"
        assert server.process.wait(WITHIN) == 1
        assert server.process.stderr is not None
        lines = server.process.stderr.read().splitlines()
        assert len(lines) == 1, lines
        assert str(path) in lines[0]


def test_a_takeover_is_not_a_removal(kind: str, path: Path) -> None:
    with serving(kind, path, "--on-removed", "stop") as old, serving(kind, path, "--takeover"):
        assert old.process.wait(WITHIN) == 0


def test_an_unknown_value_is_refused(path: Path) -> None:
    with pytest.raises(OptionError, match="'serve' or 'stop'"):
        Server(path, [], on_removed="panic")  # type: ignore[arg-type]
