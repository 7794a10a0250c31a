"""Tests of the grid of greetings, from the results that containers write to a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GREET_ALL = Path(__file__).parents[2] / "compose" / "greet-all.sh"
OUTPUT = "Greet\n  > one\nGreetInLanguages\nGreetTogether\nConverse\n"


def peers(folder: Path) -> Path:
    file = folder / "peers.toml"
    table = '[{}]\nlanguage = "L"\nlibrary = "l"\nserve = ["x"]\nclient = ["x"]\nneeds = []\n'
    contained = [f'{table.format(name)}dockerfile = "Dockerfile"\n' for name in ("one", "two")]
    file.write_text("".join([*contained, table.format("without-container")]))
    return file


def leave(folder: Path, client: str, server: str, code: int = 0, output: str = OUTPUT) -> None:
    (folder / client).mkdir(parents=True, exist_ok=True)
    (folder / client / f"{server}.log").write_text(output)
    (folder / client / f"{server}.code").write_text(f"{code}\n")


def grid(folder: Path, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    options = ["--peers", str(peers(folder)), "--results", str(folder), "--timeout", str(timeout)]
    command = [sys.executable, "-m", "samehost_interop.greetings", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_exit_code_is_0_if_all_clients_greeted_all_servers(tmp_path: Path) -> None:
    for client in ("one", "two"):
        for server in ("one", "two"):
            leave(tmp_path, client, server)
    done = grid(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 cells, 4 passed, 0 failed" in done.stdout


@pytest.mark.parametrize(
    ("code", "output", "fault"),
    [
        (1, "cannot connect\n", "failed one->two:greet: exit code 1; output: cannot connect"),
        (0, "Greet\n  > one\n", "failed one->two:greet: exit code 0; output: Greet > one"),
    ],
)
def test_the_exit_code_is_1_if_a_greeting_failed_or_is_incomplete(
    tmp_path: Path, code: int, output: str, fault: str
) -> None:
    for client in ("one", "two"):
        for server in ("one", "two"):
            leave(tmp_path, client, server)
    leave(tmp_path, "one", "two", code, output)
    done = grid(tmp_path)
    assert done.returncode == 1
    assert fault in done.stdout


@pytest.mark.parametrize(("flaky", "code"), [(3, 0), (4, 1)])
def test_at_most_three_greetings_may_need_a_second_try(tmp_path: Path, flaky: int, code: int) -> None:
    pairs = [(client, server) for client in ("one", "two") for server in ("one", "two")]
    for index, (client, server) in enumerate(pairs):
        leave(tmp_path, client, server)
        if index < flaky:
            (tmp_path / client / f"{server}.first").write_text("GOAWAY\n")
    done = grid(tmp_path)
    assert done.returncode == code
    assert f"4 cells, {4 - flaky} passed, 0 failed, {flaky} flaky" in done.stdout
    assert "flaky one->two:greet: the first try failed; output: GOAWAY" in done.stdout


GREETS_TWO_ONLY_AT_SECOND_SIGHT = """
echo "$3"
case $3 in
  /run/samehost/two.sock) mkdir seen 2>/dev/null && exit 3 ;;
  /run/samehost/three.sock) exit 4 ;;
esac
exit 0
"""


def test_a_client_greets_a_server_again_if_the_first_try_failed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(GREETS_TWO_ONLY_AT_SECOND_SIGHT)
    environment = {**os.environ, "RESULTS": str(tmp_path), "SERVERS": "one two three", "TIMEOUT": "9"}
    command = ["sh", str(GREET_ALL), "client", "sh", str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as client:
        assert client.stdout is not None
        try:
            assert client.stdout.readline() == "client has greeted all servers\n"
        finally:
            client.terminate()
    results = {path.name: path.read_text() for path in (tmp_path / "client").iterdir()}
    output = {name: f"/run/samehost/{name}.sock\n" for name in ("one", "two", "three")}
    assert results == {
        **{f"{name}.log": output[name] for name in output},
        **{f"{name}.first": output[name] for name in ("two", "three")},
        "one.code": "0\n",
        "two.code": "0\n",
        "three.code": "4\n",
    }


def test_the_exit_code_is_1_if_a_greeting_is_missing_at_the_timeout(tmp_path: Path) -> None:
    leave(tmp_path, "one", "one")
    done = grid(tmp_path, timeout=0.5)
    assert done.returncode == 1
    assert "failed two->one:greet: the client did not reach this cell" in done.stdout
