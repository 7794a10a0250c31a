"""Someone removes the socket of a server that serves, or puts another in its place."""

from pathlib import Path

import pytest

from running import WITHIN, listening, read_line, serving, slow_greetings
from samehost_client import connect
from samehost_server import OptionError, Server


def test_it_is_said_and_what_is_in_progress_goes_on(kind: str, path: Path) -> None:
    with serving(kind, path) as server, connect(path, wait=WITHIN) as channel:
        stream = slow_greetings(channel, 500)
        next(stream)
        path.unlink()
        said = read_line(server.process.stderr, "what the server says of it")
        assert str(path) in said
        assert "removed" in said
        assert len(list(stream)) == 4
        assert server.end() == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_that_is_to_stop_does_with_exit_code_1(kind: str, path: Path, replaced: bool) -> None:
    with serving(kind, path, "--on-removed", "stop") as server:
        path.unlink()
        if replaced:
            with listening(path):
                assert server.process.wait(WITHIN) == 1
            assert path.is_socket(), "what is not its own stays"
        assert server.process.wait(WITHIN) == 1
        assert server.process.stderr is not None
        lines = server.process.stderr.read().splitlines()
        assert len(lines) == 1, lines
        assert str(path) in lines[0]


def test_a_takeover_is_no_removal(kind: str, path: Path) -> None:
    with serving(kind, path, "--on-removed", "stop") as old, serving(kind, path, "--takeover"):
        assert old.process.wait(WITHIN) == 0


def test_an_unknown_choice_is_refused(path: Path) -> None:
    with pytest.raises(OptionError, match="'serve' or 'stop'"):
        Server(path, [], on_removed="panic")  # type: ignore[arg-type]
