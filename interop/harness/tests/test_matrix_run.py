"""Tests of the whole matrix, with correct and faulty peers."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from samehost_interop.turns import Turns

FAKE_PEER = Path(__file__).parent / "peers" / "fake_peer.py"
CASES = ("empty_unary", "large_unary", "ping_pong")
BAD_CASE = "large_unary"
"""The case in which faulty clients fail."""

SHORT = (f"--case={','.join(CASES)}", "--ready-seconds=5", "--case-seconds=5", "--stop-seconds=5")

BAD_SERVERS = {
    "never-ready": "was not ready after 3 s",
    "dies-at-start": "exited with code 3 before it was ready",
    "rubbish-at-start": "printed 'Listening on port 50051' instead of the ready line",
    "endless-rubbish": "printed 'rubbish rubbish",
    "wrong-event": '"event": "started"',
    "wrong-address": '"address": "unix:///',
    "no-version": "instead of the ready line",
}
BAD_CLIENTS = {
    "dies": "exited with code 3 before it reported large_unary",
    "hangs": "did not report large_unary within 3 s",
    "prints-rubbish": "printed 'starting ...' instead of the result",
    "omits": '"case": "ping_pong"',
    "invents-a-case": '"case": "huge_unary"',
    "invents-a-result": '"result": "maybe"',
    "fails": "fail: expected 314159 bytes, got 0",
    "does-not-know": "unimplemented: ",
    "halves-a-pair": "fail: got ?",
}
BAD_ENDS_OF_CLIENTS = {
    "lies-about-failure": "exited with code 1, but its results require 0",
    "talks-on": "printed 'bye' after its last case",
    "never-ends": "still ran 3 s after its last case",
}
BAD_ENDS_OF_SERVERS = {
    "ignores-sigterm": "still ran 3 s after SIGTERM; it was killed",
    "fails-at-stop": "exited with code 4 after SIGTERM instead of 0",
    "leaves-its-socket": "left its socket behind after SIGTERM",
    "talks-on": "printed 'GET /' on stdout",
}


@dataclass(frozen=True)
class Run:
    """One finished run of the matrix."""

    code: int
    output: str
    report: dict[str, Any]
    starts: list[str]

    @property
    def results(self) -> dict[str, str]:
        return {cell_id: cell["result"] for cell_id, cell in self.cells.items()}

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        return {f"{cell['client']}->{cell['server']}:{cell['case']}": cell for cell in self.report["cells"]}

    def failed(self) -> dict[str, str]:
        """Return the details of the failed cells."""
        return {cell_id: cell["detail"] for cell_id, cell in self.cells.items() if cell["result"] == "failed"}


class Project:
    """A folder with peers.toml and known_failing.toml, and runs of the matrix in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "starts.log"
        (folder / "interop").mkdir()
        self.known_failing("")

    def peers(self, **behaviours: str) -> None:
        """Write a fake peer for each name and behaviour. Further lines of a value are lines of its table."""
        text = ""
        for name, value in behaviours.items():
            behaviour, *rows = value.splitlines()
            command = json.dumps(["{python}", str(FAKE_PEER), behaviour])
            text += f'[{name}]\nlanguage = "Fake"\nlibrary = "none"\nserve = {command}\nclient = {command}\n'
            text += "\n".join(rows or ["needs = []"]) + "\n"
        (self._folder / "interop" / "peers.toml").write_text(text, encoding="utf-8")

    def known_failing(self, text: str) -> None:
        (self._folder / "interop" / "known_failing.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, workers: int = 0, **environment: str) -> Run:
        """Run the three CASES of every pair, with short deadlines and warnings as errors."""
        with self.start(f"-n{workers}", *arguments, **environment) as process:
            output, _ = process.communicate(timeout=100)
        report = self._folder / "build" / "reports" / "interop.json"
        return Run(
            process.returncode,
            output,
            json.loads(report.read_text(encoding="utf-8")) if report.exists() else {},
            self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else [],
        )

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start the matrix as a process, with stderr in its stdout."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SAMEHOST_"))}
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "samehost_interop", "-W", "error", *SHORT, *arguments],
            cwd=self._folder,
            env=inherited | {"FAKE_PEER_LOG": str(self.log)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def cells(client: str, server: str) -> set[str]:
    return {f"{client}->{server}:{case}" for case in CASES}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_pair_passes_and_every_program_starts_once(project: Project, workers: int) -> None:
    project.peers(one="good", two="good")
    run = project.run(workers=workers)
    assert run.code == 0, run.output
    assert run.results == dict.fromkeys(
        cells("one", "one") | cells("one", "two") | cells("two", "one") | cells("two", "two"), "passed"
    )
    commands = [start.split()[2] for start in run.starts]
    assert (commands.count("serve"), commands.count("interop")) == (2, 4)
    selections = [start.partition(" --case ")[2] for start in run.starts if " --case " in start]
    assert selections == [" --case ".join(CASES)] * 4


def test_the_report_has_the_format_of_every_suite(project: Project, tmp_path: Path) -> None:
    project.peers(good="good", bad="fails")
    project.known_failing(
        """
        [[known_failing]]
        cells = ["bad->good:large_unary"]
        reason = "It can't."
        link = "https://example.org/1"
        """
    )
    run = project.run("--server=good")
    assert run.code == 0, run.output
    assert run.report["summary"] == {"cells": 6, "passed": 5, "failed": 0, "flaky": 0, "known_failing": 1, "skipped": 0}
    assert run.report["implementations"] == [
        {"name": "good", "language": "Fake", "library": "none", "implementation": "fake", "version": "1"},
        {"name": "bad", "language": "Fake", "library": "none", "implementation": "", "version": ""},
    ]
    assert [cell["case"] for cell in run.report["cells"]] == [*CASES, *CASES]
    passed = {"client": "good", "server": "good", "case": "empty_unary", "result": "passed", "detail": "", "ms": 1.5}
    assert run.report["cells"][0] == passed
    known = run.cells["bad->good:large_unary"]
    assert known == {
        "client": "bad",
        "server": "good",
        "case": "large_unary",
        "result": "known_failing",
        "detail": "fail: expected 314159 bytes, got 0\nstderr:\nstderr of fails",
        "ms": 1.5,
        "reason": "It can't.",
        "link": "https://example.org/1",
    }
    assert "6 cells, 5 passed, 0 failed, 0 flaky, 1 known failing, 0 skipped" in run.output
    assert (tmp_path / "build" / "reports" / "interop.html").exists()


def test_servers_that_do_not_start_fail_their_own_cells(project: Project) -> None:
    project.peers(good="good", **{name: name for name in BAD_SERVERS})
    run = project.run("--client=good", "--ready-seconds=3")
    assert run.code == 1
    assert set(run.failed()) == set().union(*(cells("good", name) for name in BAD_SERVERS))
    for cell, detail in run.failed().items():
        server = cell.removeprefix("good->").partition(":")[0]
        assert f"server {server} " in detail
        assert BAD_SERVERS[server] in detail
        assert f"stderr of {server}" in detail
    assert run.report["summary"]["passed"] == len(CASES)
    assert_nothing_runs(run.starts)


def test_clients_that_misbehave_in_a_case_fail_only_that_case(project: Project) -> None:
    project.peers(good="good", **{name: name for name in BAD_CLIENTS})
    run = project.run("--server=good", "--case-seconds=3")
    assert run.code == 1
    assert set(run.failed()) == {f"{name}->good:{BAD_CASE}" for name in BAD_CLIENTS}
    for name, fault in BAD_CLIENTS.items():
        detail = run.failed()[f"{name}->good:{BAD_CASE}"]
        assert fault in detail
        assert f"stderr of {name}" in detail
        assert fault in run.output
    assert_nothing_runs(run.starts)


def test_clients_that_misbehave_at_the_end_fail_their_last_case(project: Project) -> None:
    project.peers(good="good", **{name: name for name in BAD_ENDS_OF_CLIENTS})
    run = project.run("--server=good", "--stop-seconds=3")
    assert run.code == 1
    assert set(run.failed()) == {f"{name}->good:{CASES[-1]}" for name in BAD_ENDS_OF_CLIENTS}
    for name, fault in BAD_ENDS_OF_CLIENTS.items():
        assert fault in run.failed()[f"{name}->good:{CASES[-1]}"]
    assert_nothing_runs(run.starts)


def test_a_client_that_exits_with_0_after_a_failure_fails(project: Project) -> None:
    project.peers(bad="lies-about-success", good="good")
    run = project.run("--client=bad", "--server=good")
    assert set(run.failed()) == {f"bad->good:{BAD_CASE}"}
    last = run.cells[f"bad->good:{CASES[-1]}"]
    assert last["result"] == "flaky", "it passes alone, because no case fails before it"
    assert "exited with code 0, but its results require 1" in last["detail"]


def test_servers_that_do_not_stop_correctly_fail_once(project: Project) -> None:
    project.peers(good="good", **{name: name for name in BAD_ENDS_OF_SERVERS})
    run = project.run("--client=good", "--stop-seconds=3")
    assert run.code == 1
    assert len(run.failed()) == len(BAD_ENDS_OF_SERVERS)
    for cell, detail in run.failed().items():
        server = cell.removeprefix("good->").partition(":")[0]
        assert f"server {server} {BAD_ENDS_OF_SERVERS[server]}" in detail
    assert_nothing_runs(run.starts)


def test_a_client_that_hangs_in_every_case_is_stopped(project: Project) -> None:
    project.peers(bad="hangs")
    run = project.run("--case-seconds=5", "--pair-seconds=0.5")
    assert run.code == 1
    assert "did not reach this case within the 0.5 s of its pair" in run.cells["bad->bad:ping_pong"]["detail"]


def test_every_failed_cell_names_a_server_that_dies_in_use(project: Project) -> None:
    project.peers(connects="connects", bad="dies-in-use")
    run = project.run("--client=connects", "--server=bad")
    assert run.code == 1
    assert set(run.failed()) == cells("connects", "bad")
    assert all("server bad exited with code 3 while it was in use" in detail for detail in run.failed().values())


def test_a_missing_command_skips_unless_all_are_required(project: Project) -> None:
    project.peers(good="good", absent='good\nneeds = ["no-such-compiler"]')
    run = project.run("--client=good")
    assert run.code == 0, run.output
    assert {cell for cell, result in run.results.items() if result == "skipped"} == cells("good", "absent")
    assert "absent: the command 'no-such-compiler' is not on PATH; install it" in run.output
    required = project.run("--client=good", SAMEHOST_REQUIRE="all")
    assert required.code == 1
    assert set(required.failed()) == cells("good", "absent")


def test_peers_that_share_a_build_are_built_once(project: Project, tmp_path: Path) -> None:
    build = 'good\nneeds = ["sh"]\nbuild = [["sh", "-c", "echo built >> built.txt"]]'
    project.peers(one=build, two=build)
    assert project.run(workers=2).code == 0
    assert (tmp_path / "interop" / "built.txt").read_text() == "built\n"
    assert project.run("--client=one").code == 0
    assert (tmp_path / "interop" / "built.txt").read_text() == "built\nbuilt\n"


def test_a_build_that_fails_fails_the_cells_of_its_peer(project: Project) -> None:
    project.peers(good="good", bad='good\nneeds = ["sh"]\nbuild = [["sh", "-c", "echo line 7: no such type; exit 9"]]')
    run = project.run(workers=2)
    assert run.code == 1
    assert set(run.failed()) == set(run.cells) - cells("good", "good")
    for detail in run.failed().values():
        assert "exited with code 9" in detail
        assert "line 7: no such type" in detail


def test_a_known_failure_that_passes_fails(project: Project) -> None:
    project.peers(good="good")
    project.known_failing(known("good->*:ping_pong"))
    run = project.run()
    assert run.code == 1
    assert list(run.failed()) == ["good->good:ping_pong"]
    assert "passed, but is listed as known failing (It can't.)" in run.failed()["good->good:ping_pong"]


def test_a_flaky_known_failure_may_pass_and_may_fail(project: Project) -> None:
    project.peers(good="good", bad="fails")
    project.known_failing(known("*->good:large_unary") + "flaky = true\n")
    run = project.run("--server=good")
    assert run.code == 0, run.output
    assert run.cells["good->good:large_unary"]["result"] == "passed"
    assert run.cells["bad->good:large_unary"]["result"] == "known_failing"


def test_a_known_failure_does_not_excuse_a_server_that_does_not_start(project: Project) -> None:
    project.peers(bad="dies-at-start")
    project.known_failing(known("*"))
    assert set(project.run().failed()) == cells("bad", "bad")


def test_a_cell_that_passes_only_on_the_second_try_is_flaky(project: Project, tmp_path: Path) -> None:
    project.peers(good="good", bad="fails-once")
    run = project.run("--server=good", workers=2)
    assert run.code == 0, run.output
    cell = run.cells[f"bad->good:{BAD_CASE}"]
    assert (cell["result"], cell["ms"]) == ("flaky", 1.5)
    assert cell["detail"] == "fail: expected 314159 bytes, got 0\nstderr:\nstderr of fails-once"
    assert run.report["summary"]["flaky"] == 1
    assert f"flaky bad->good:{BAD_CASE}: fail: expected 314159 bytes, got 0" in run.output
    assert "6 cells, 5 passed, 0 failed, 1 flaky, 0 known failing, 0 skipped" in run.output
    assert "1 of 6 cells passed only on the second try" in (tmp_path / "build/reports/interop.html").read_text()
    second = [start for start in run.starts if start.endswith(f"--case {BAD_CASE}")]
    assert [start.split()[1] for start in second] == ["fails-once"], "one process, and no other case"
    assert len([start for start in run.starts if start.split()[2] == "serve"]) == 2, "with a server of its own"


def test_a_cell_that_fails_twice_reports_both_failures(project: Project) -> None:
    project.peers(good="good", bad="fails")
    run = project.run("--server=good")
    assert run.code == 1
    assert run.failed()[f"bad->good:{BAD_CASE}"].count("fail: expected 314159 bytes, got 0") == 2
    assert run.report["summary"]["flaky"] == 0


def test_a_known_failure_is_not_tried_again(project: Project) -> None:
    project.peers(good="good", bad="fails")
    project.known_failing(known(f"bad->good:{BAD_CASE}"))
    run = project.run("--server=good")
    assert run.code == 0, run.output
    assert [start for start in run.starts if start.endswith(f"--case {BAD_CASE}")] == []


@pytest.mark.parametrize(("most", "code"), [(3, 0), (4, 1)])
def test_more_than_three_flaky_cells_fail_a_run(project: Project, most: int, code: int) -> None:
    project.peers(good="good", **{f"bad{number}": "fails-once" for number in range(most)})
    run = project.run("--server=good")
    assert (run.report["summary"]["failed"], run.report["summary"]["flaky"]) == (0, most)
    assert run.code == code, run.output
    assert ("more than 3 cells are flaky, so the run fails" in run.output) == bool(code)


def test_a_peer_that_always_fails_gets_four_second_tries(project: Project) -> None:
    project.peers(good="good", bad="dies-at-start", worse="dies-at-start")
    run = project.run("--client=good")
    assert run.code == 1
    assert set(run.failed()) == cells("good", "bad") | cells("good", "worse")
    assert len([start for start in run.starts if start.split()[1] == "dies-at-start"]) == 2 + 4


def test_a_worker_runs_alone_after_the_others_and_before_the_next(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    alone, inside = threading.Event(), threading.Event()

    def wait_to_be_alone() -> None:
        with Turns(tmp_path).alone():
            alone.set()
            assert not inside.wait(0.3)

    def come_in() -> None:
        with Turns(tmp_path).beside_others():
            inside.set()

    with ThreadPoolExecutor(2) as pool:
        with turns.beside_others(), Turns(tmp_path).beside_others():
            waiting = pool.submit(wait_to_be_alone)
            assert not alone.wait(0.3)
        assert alone.wait(10)
        coming = pool.submit(come_in)
        waiting.result(10)
        coming.result(10)
    assert inside.is_set()


@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        (["--with-references"], {"one->two", "two->one", "two->two"}),
        (["--client=one", "--server=two,one*"], {"one->two", "one->one"}),
        (["--client=t*", "--server=one", "--server=two"], {"two->one", "two->two"}),
        (["-k", "one->two"], {"one->two"}),
        (["-k", "(one->one or two->two) and not ping_pong"], {"one->one", "two->two"}),
    ],
)
def test_cells_can_be_selected(project: Project, arguments: list[str], selected: set[str]) -> None:
    project.peers(one="good", two="good\nneeds = []\nreference = true")
    run = project.run(*arguments)
    assert run.code == 0, run.output
    assert {cell.partition(":")[0] for cell in run.cells} == selected


@pytest.mark.parametrize(
    ("known_failing", "arguments", "fault"),
    [
        ("", ["--client=three"], "--client 'three' matches nothing; choose from one"),
        ("", ["--case=empty"], "--case 'empty' matches nothing; choose from empty_unary, "),
        ("one->two:*", [], "'one->two:*' matches no cell"),
        ("", ["--suite=socket"], "messages.toml: No such file or directory; run in the root"),
    ],
)
def test_a_configuration_error_is_one_line_and_nothing_runs(
    project: Project, known_failing: str, arguments: list[str], fault: str
) -> None:
    project.peers(one="good")
    project.known_failing(known(known_failing) if known_failing else "")
    run = project.run(*arguments)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert fault in next(line for line in run.output.splitlines() if line.startswith("ERROR: "))
    assert "Traceback" not in run.output
    assert run.starts == []


def test_a_temporary_folder_may_have_a_long_name(project: Project, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    project.peers(good="good")
    run = project.run(TMPDIR=str(long))
    assert run.code == 0, run.output
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(project: Project, number: signal.Signals) -> None:
    project.peers(bad="hangs")
    os.mkfifo(project.log)
    # Also open for writing, so that a read does not see the end of the FIFO between two programs.
    log = os.open(project.log, os.O_RDWR)
    with project.start("-n0") as process, os.fdopen(log, encoding="utf-8") as starts:
        started = [starts.readline(), starts.readline()]
        process.send_signal(number)
        output, _ = process.communicate(timeout=50)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [start.split()[2] for start in started] == ["serve", "interop"]
    assert_nothing_runs(started)


def known(glob: str) -> str:
    return f'[[known_failing]]\ncells = ["{glob}"]\nreason = "It can\'t."\nlink = "https://example.org/1"\n'


def assert_nothing_runs(starts: list[str]) -> None:
    for start in starts:
        with pytest.raises(ProcessLookupError):
            os.kill(int(start.split()[0]), 0)
