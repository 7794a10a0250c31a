"""The commands: their output for people and for programs, their exit codes, and their errors of usage."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from running import (
    WITHIN,
    Running,
    as_option,
    greeter,
    listening,
    make_stale,
    program,
    run,
    run_without_rights,
    serving,
)

GREETER = "samehost.greeter.v1.GreeterService"


def test_greet_prints_all_four_kinds_of_call(kind: str, path: Path) -> None:
    with Running(kind, path):
        done = run("samehost_demo", "greet", "--socket", path, "--name", "Ada", *as_option(kind))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Greet",
        "  > Ada",
        "  < Hello, Ada!",
        "GreetInLanguages",
        "  > Ada",
        "  < de: Hallo, Ada!",
        "  < en: Hello, Ada!",
        "  < es: ¡Hola, Ada!",
        "  < fr: Bonjour, Ada !",
        "  < ja: こんにちは、Adaさん！",
        "GreetTogether",
        "  > Ada",
        "  > Grace",
        "  > Edsger",
        "  < Hello, Ada, Grace and Edsger!",
        "Converse",
        "  > Ada here.",
        "  > I heard: You said: Ada here.",
        "  > Goodbye!",
        "  < You said: Ada here.",
        "  < You said: I heard: You said: Ada here.",
        "  < You said: Goodbye!",
    ]


def test_greet_prints_json(kind: str, path: Path) -> None:
    with Running(kind, path):
        done = run("samehost_demo", "greet", "--socket", path, "--json", *as_option(kind))
    exchanges = [json.loads(line) for line in done.stdout.splitlines()]
    assert [exchange["method"] for exchange in exchanges] == ["Greet", "GreetInLanguages", "GreetTogether", "Converse"]
    assert exchanges[0] == {"method": "Greet", "sent": ["world"], "received": ["Hello, world!"]}


def test_health_exits_with_0_only_for_serving(kind: str, path: Path) -> None:
    health = ("samehost_client", "health", "--socket", path)
    with Running(kind, path):
        assert (run(*health).stdout, run(*health).returncode) == ("SERVING\n", 0)
        named = run(*health, "--service", GREETER, "--json")
        assert json.loads(named.stdout) == {
            "address": f"unix:{path}",
            "service": GREETER,
            "status": "SERVING",
            "detail": "",
        }
        unknown = run(*health, "--service", "no.such.Service")
        assert unknown.returncode == 1
        assert unknown.stdout.startswith("SERVICE_UNKNOWN: ")
    with Running(kind, path, with_health=False):
        unimplemented = run(*health)
        assert unimplemented.returncode == 1
        assert unimplemented.stdout.startswith("UNIMPLEMENTED: ")
    stopped = run(*health)
    assert (stopped.returncode, stopped.stderr) == (1, "")
    assert stopped.stdout.startswith("UNREACHABLE: ")
    assert str(path) in stopped.stdout


def test_a_command_without_arguments_prints_its_help() -> None:
    done = run("samehost_client")
    assert (done.returncode, done.stdout) == (2, "")
    assert "\n  health " in done.stderr


def test_health_watch_prints_each_change(kind: str, path: Path) -> None:
    watch = ("samehost_client", "health", "--socket", path, "--watch", "--interval", "0.05", "--json")
    with program(*watch) as watching:
        assert json.loads(watching.line())["status"] == "UNREACHABLE"
        with serving(kind, path) as server:
            assert json.loads(watching.line())["status"] == "SERVING"
            server.end()
        assert json.loads(watching.line())["status"] == "UNREACHABLE"
        assert watching.end(signal.SIGINT) == 1


def test_ping_prints_round_trips_and_their_statistics(kind: str, path: Path) -> None:
    ping = ("samehost_client", "ping", "--socket", path, "--count", "3", "--interval", "0.01")
    with Running(kind, path):
        done = run(*ping)
        machine = [json.loads(line) for line in run(*ping, "--json").stdout.splitlines()]
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split(" time=")[0] for line in lines[:3]] == [
        f"answer from unix:{path}: sequence={number}" for number in (1, 2, 3)
    ]
    assert lines[4:6] == [f"--- unix:{path} statistics ---", "3 calls sent, 3 answered, 0% lost"]
    assert lines[6].startswith("round trip min/avg/max/mdev = ")
    assert [answer["sequence"] for answer in machine[:3]] == [1, 2, 3]
    assert {"sent": 3, "answered": 3, "loss_percent": 0.0}.items() <= machine[3].items()
    assert 0 < machine[3]["min_ms"] <= machine[3]["avg_ms"] <= machine[3]["max_ms"]


def test_ping_continues_without_answers_and_prints_a_summary_when_interrupted(path: Path) -> None:
    with program("samehost_client", "ping", "--socket", path, "--interval", "0.01", "--json") as ping:
        for number in (1, 2):
            answer = json.loads(ping.line())
            assert (answer["sequence"], answer["ms"]) == (number, None)
            assert str(path) in answer["detail"]
        ping.process.send_signal(signal.SIGINT)
        output, errors = ping.process.communicate(timeout=WITHIN)
    last = json.loads(output.splitlines()[-1])
    assert (ping.process.returncode, errors, last["answered"], last["loss_percent"]) == (1, "", 0, 100.0)


def test_a_closed_pipe_ends_a_command_without_a_traceback(path: Path) -> None:
    with program("samehost_client", "ping", "--socket", path, "--interval", "0.01") as ping:
        ping.line()
        assert ping.process.stdout is not None
        ping.process.stdout.close()
        assert ping.process.wait(WITHIN) == 1
        assert ping.process.stderr is not None
        assert ping.process.stderr.read() == ""


def create_file(path: Path) -> None:
    path.write_text("dear diary")


def long_path(folder: Path) -> str:
    return str(folder / ("x" * (108 - len(f"{folder}/"))))


Misuse = tuple[str, Callable[[Path], list[str]], int, str]

SERVER_MISUSE: list[Misuse] = [
    ("missing folder", lambda f: ["--socket", f"{f}/no/app.sock"], 1, "the folder"),
    ("108 bytes", lambda f: ["--socket", long_path(f)], 2, "108 bytes"),
    ("regular file", lambda f: ["--socket", f"{f}/diary"], 1, "is not a socket"),
    ("host", lambda _: ["--socket", "unix://tmp/app.sock"], 2, "a host"),
    ("empty path", lambda _: ["--socket", ""], 2, "the path is empty"),
    ("relative path", lambda _: ["--socket", "app.sock"], 2, "not absolute"),
    ("bad mode", lambda f: ["--socket", f"{f}/app.sock", "--mode", "0999"], 2, "invalid mode '0999'"),
    ("mode too large", lambda f: ["--socket", f"{f}/app.sock", "--mode", "7777"], 2, "invalid mode 0o7777"),
    ("unknown group", lambda f: ["--socket", f"{f}/app.sock", "--group", "nobody-here"], 2, "'nobody-here'"),
    ("negative grace", lambda f: ["--socket", f"{f}/app.sock", "--grace", "-1"], 2, "invalid grace -1"),
    ("no socket", lambda _: [], 2, "--socket"),
    ("unknown option", lambda f: ["--socket", f"{f}/app.sock", "--port", "1"], 2, "--port"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [misuse[1:] for misuse in SERVER_MISUSE],
    ids=[misuse[0] for misuse in SERVER_MISUSE],
)
def test_misuse_of_the_server_prints_one_line(
    kind: str, folder: Path, arguments: Callable[[Path], list[str]], code: int, fragment: str
) -> None:
    create_file(folder / "diary")
    words = arguments(folder)
    before = contents(folder)
    done = run("samehost_server", *words, *greeter(kind))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("samehost-server: ")
    assert fragment in done.stderr
    assert done.stderr.count("\n") == 1
    assert before.items() <= contents(folder).items(), "no file was removed or changed"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_folder_without_write_permission_prints_one_line(kind: str, folder: Path) -> None:
    folder.chmod(0o555)
    done = run_without_rights("samehost_server", "--socket", folder / "app.sock", *greeter(kind))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("samehost-server: ")
    assert f"{folder}/app.sock.lock: permission denied" in done.stderr
    assert f"belongs to uid {os.getuid()}" in done.stderr
    assert done.stderr.count("\n") == 1


CLIENT_MISUSE: list[Misuse] = [
    ("108 bytes", lambda f: ["ping", "--socket", long_path(f)], 2, "108 bytes"),
    ("host", lambda _: ["ping", "--socket", "unix://tmp/app.sock"], 2, "a host"),
    ("empty path", lambda _: ["health", "--socket", ""], 2, "the path is empty"),
    ("bad timeout", lambda f: ["health", "--socket", f"{f}/app.sock", "--timeout", "0"], 2, "--timeout"),
    ("bad count", lambda f: ["ping", "--socket", f"{f}/app.sock", "--count", "0"], 2, "--count"),
    ("unknown command", lambda _: ["dance"], 2, "'dance'"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [misuse[1:] for misuse in CLIENT_MISUSE],
    ids=[misuse[0] for misuse in CLIENT_MISUSE],
)
def test_misuse_of_the_client_prints_one_line(
    folder: Path, arguments: Callable[[Path], list[str]], code: int, fragment: str
) -> None:
    done = run("samehost_client", *arguments(folder))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("samehost: ")
    assert fragment in done.stderr
    assert done.stderr.count("\n") == 1


def test_greet_without_a_server_prints_one_line(kind: str, path: Path) -> None:
    done = run("samehost_demo", "greet", "--socket", path, "--timeout", "0.2", *as_option(kind))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("samehost-demo: ")
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("prepare", [make_stale, create_file], ids=["stale", "file"])
def test_greet_keeps_the_file_at_the_path(kind: str, path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(path)
    done = run("samehost_demo", "greet", "--socket", path, "--timeout", "0.2", *as_option(kind))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert path.exists()


def test_greet_reports_a_silent_server(kind: str, path: Path) -> None:
    with listening(path):
        done = run("samehost_demo", "greet", "--socket", path, "--timeout", "0.2", *as_option(kind))
    assert done.returncode == 1
    assert done.stderr.startswith("samehost-demo: ")
    assert str(path) in done.stderr
    assert "within 1 s" in done.stderr


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("samehost_server", []),
        ("samehost_client", []),
        *(("samehost_client", [c]) for c in ("health", "ping")),
        ("samehost_demo", ["greet"]),
    ],
)
def test_help(module: str, words: list[str]) -> None:
    done = run(module, *words, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: samehost")


@pytest.mark.parametrize(
    ("module", "program"), [("samehost_server", "samehost-server"), ("samehost_client", "samehost")]
)
def test_without_click_a_command_prints_how_to_install_it(module: str, program: str) -> None:
    without_click = f"import runpy, sys; sys.modules['click'] = None; runpy.run_module({module!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", without_click], capture_output=True, check=False, text=True, timeout=WITHIN
    )
    remedy = f'run: pip install "{module.replace("_", "-")}[cli]"'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{program}: click is not installed; {remedy}\n")
