"""The grid of greetings that containers leave in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

SAID = "Greet\n  > one\nGreetInLanguages\nGreetTogether\nConverse\n"


def peers(folder: Path) -> Path:
    file = folder / "peers.toml"
    table = '[{}]\nlanguage = "L"\nlibrary = "l"\nserve = ["x"]\nclient = ["x"]\nneeds = []\n'
    contained = [f'{table.format(name)}dockerfile = "Dockerfile"\n' for name in ("one", "two")]
    file.write_text("".join([*contained, table.format("of-no-container")]))
    return file


def leave(folder: Path, client: str, server: str, code: int = 0, said: str = SAID) -> None:
    (folder / client).mkdir(parents=True, exist_ok=True)
    (folder / client / f"{server}.log").write_text(said)
    (folder / client / f"{server}.code").write_text(f"{code}\n")


def grid(folder: Path, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    options = ["--peers", str(peers(folder)), "--results", str(folder), "--timeout", str(timeout)]
    command = [sys.executable, "-m", "samehost_interop.greetings", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_all_greeted_is_0(tmp_path: Path) -> None:
    for client in ("one", "two"):
        for server in ("one", "two"):
            leave(tmp_path, client, server)
    done = grid(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 cells, 4 passed, 0 failed" in done.stdout


@pytest.mark.parametrize(
    ("code", "said", "fault"),
    [
        (
            1,
            "nobody listens on /run/x.sock\n",
            "failed one->two:greet: exit code 1; it said: nobody listens on /run/x.sock",
        ),
        (0, "Greet\n  > one\n", "failed one->two:greet: exit code 0; it said: Greet > one"),
    ],
)
def test_one_that_failed_or_said_too_little_is_1(tmp_path: Path, code: int, said: str, fault: str) -> None:
    for client in ("one", "two"):
        for server in ("one", "two"):
            leave(tmp_path, client, server)
    leave(tmp_path, "one", "two", code, said)
    done = grid(tmp_path)
    assert done.returncode == 1
    assert fault in done.stdout


def test_one_that_never_came_is_1_after_the_timeout(tmp_path: Path) -> None:
    leave(tmp_path, "one", "one")
    done = grid(tmp_path, timeout=0.5)
    assert done.returncode == 1
    assert "failed two->one:greet: the client did not come to this cell" in done.stdout
