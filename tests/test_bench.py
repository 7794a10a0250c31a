"""The bench: the contenders that need no extra packages answer correctly, and the ratios are computed as documented."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import page
from bench.calls import Timing, WrongAnswerError, measure
from bench.contenders import ALL, PYTHON, RAW, Contender, End
from bench.figures import rows
from bench.run import Results
from bench.works import ALL as ALL_WORKS
from bench.works import CHECKED, Work

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["raw socket", "samehost", "*native*", "grpcio*", "multiprocessing"])
def test_contenders_answer_correctly(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--check", "--only", name],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("gave correct answers\n")


def test_an_end_does_not_import_grpc_before_it_is_tuned() -> None:
    code = "import sys, bench.end; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=30).returncode == 0


def test_an_unknown_contender_is_wrong_usage() -> None:
    words = [sys.executable, "-m", "bench", "--only", "nobody"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False, text=True, timeout=30)
    assert done.returncode == 2
    assert "--only nobody matches no contender" in done.stderr


class Deaf:
    """A client that receives wrong sizes."""

    def unary(self, body: bytes) -> int:
        return len(body) - 1

    def server_stream(self, size: int, count: int) -> int:
        return size * (count - 1)

    def client_stream(self, body: bytes, count: int) -> int:
        return len(body) * count + 1

    def bidirectional(self, body: bytes, count: int) -> int:
        return len(body) * (count - 1)


@pytest.mark.parametrize("work", CHECKED, ids=str)
def test_a_wrong_answer_is_found(work: Work) -> None:
    with pytest.raises(WrongAnswerError, match="expected"):
        measure(Deaf(), work, 0, 1)


def test_ratios_compare_results_of_the_same_turn() -> None:
    work = Work("unary", 64)
    plain = Contender("grpcio", End("grpcio"))
    ours = Contender("samehost", End("samehost"), tuned=True)
    results = Results()
    # The machine runs at half its speed in the second turn, and samehost fails in the third.
    for contender, speeds in {RAW: (1000, 500, 1000), plain: (100, 50, 100), ours: (200, 100, None)}.items():
        results.timings[contender, work] = [
            Timing(speed, 1.0, 1e6 / speed, 1e6 / speed, 0.5) if speed else None for speed in speeds
        ]
    found = {row["contender"]: row for row in rows(results)}
    assert (found["samehost"]["ratio_to_raw"], found["samehost"]["ratio_to_grpcio"]) == (0.2, 2.0)
    assert (found["raw socket"]["ratio_to_raw"], found["grpcio"]["ratio_to_grpcio"]) == (1.0, 1.0)
    assert found["samehost"]["calls_per_s"] == 150
    assert found["samehost"]["spread"] == pytest.approx(0.167)


def test_without_its_baseline_a_contender_has_no_ratio() -> None:
    """This is the case with `--only samehost`."""
    results = Results()
    results.timings[Contender("samehost", End("samehost")), Work("unary", 64)] = [Timing(100, 1.0, 10, 10, 0.5)] * 2
    [row] = rows(results)
    assert (row["calls_per_s"], row["ratio_to_raw"], row["ratio_to_grpcio"]) == (100, None, None)


def test_figures_replace_the_text_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(page.PAGE.read_text())
    monkeypatch.setattr(page, "PAGE", copy)
    machine = {"processor": "P", "cores": 2, "kernel": "K", "python": "3", "libraries": {"grpcio": "1"}}
    named = {"contender": "samehost", "mode": "sync", "tuned": True, "transport": "unix", "group": "python"}
    row = {"work": "unary", "bytes": 64, "callers": 1, **named, "switches": ["engine", "allocator", "streams"]}
    row |= {"calls_per_s": 3000.0, "ratio_to_raw": 0.125, "ratio_to_grpcio": 1.5}
    start = {**named, "first_call_ms": 300}
    memory = {**named, "server_mib": {1: 50.2, 100: 60.0, 1000: 70.0}}
    report = {"machine": machine, "rows": [row], "cold_start": [start], "memory": [memory]}
    page.write(report)
    once = copy.read_text()
    page.write(report)
    assert copy.read_text() == once
    assert "| unary 64 B | 3,000 | 1.50 |" in once
    assert "| samehost sync, tuned | 0.12 |" in once
    assert "| samehost sync, tuned | 300 | 50 MiB | 60 MiB | 70 MiB |" in once


def test_every_contender_has_a_unique_name() -> None:
    names = [(str(contender), contender.group) for contender in ALL]
    assert len(set(names)) == len(names)


def test_json_keeps_every_field_of_an_end() -> None:
    assert all(End.from_json(contender.client.to_json()) == contender.client for contender in PYTHON)


def test_streams_are_long_and_bounded() -> None:
    assert {work.messages for work in ALL_WORKS if work.kind != "unary"} == {500, 32}
