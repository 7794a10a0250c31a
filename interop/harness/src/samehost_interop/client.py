"""Runs the client of a peer, with all cases of a pair in as few processes as possible."""

import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from samehost_interop.child_process import ChildProcess, quoted
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import PeerError
from samehost_interop.peers import Peer


@dataclass(frozen=True)
class CaseResult:
    """The result of a case. `detail` explains a failure; `ms` is None if no client measured the time."""

    passed: bool
    detail: str
    ms: float | None


def run_cases(peer: Peer, socket: Path, cases: Sequence[str], deadlines: Deadlines) -> dict[str, CaseResult]:
    """Run a client with all cases. If it dies, hangs or breaks the protocol, only the current case fails.

    The current case is the first one without a result, because clients report in the order of the arguments. The cases
    after it run in a new process.
    """
    end = time.monotonic() + deadlines.pair
    results: dict[str, CaseResult] = {}
    while waiting := [case for case in cases if case not in results]:
        if time.monotonic() >= end:
            fault = f"client {peer.name} did not reach this case within the {deadlines.pair:g} s of its pair"
            return results | {case: CaseResult(passed=False, detail=fault, ms=None) for case in waiting}
        results |= _run_process(peer, socket, waiting, deadlines, end)
    return results


def _run_process(
    peer: Peer, socket: Path, cases: Sequence[str], deadlines: Deadlines, end: float
) -> dict[str, CaseResult]:
    """Run one process and return its results: at least one, the last of which may come from the harness."""
    arguments = [*peer.client, "interop", "--socket", str(socket)]
    for case in cases:
        arguments += ["--case", case]
    results: dict[str, CaseResult] = {}
    try:
        process = ChildProcess(arguments, peer.folder)
    except PeerError as error:
        return {cases[0]: CaseResult(passed=False, detail=str(error), ms=None)}
    with process:
        for case in cases:
            try:
                result = read_result(process, case, min(deadlines.case, end - time.monotonic()))
            except ProtocolError as error:
                detail = process.explain(f"client {peer.name} {error}")
                return results | {case: CaseResult(passed=False, detail=detail, ms=None)}
            results[case] = result if result.passed else replace(result, detail=process.explain(result.detail))
        expected = 0 if all(result.passed for result in results.values()) else 1
        if fault := _fault_at_exit(process, expected, deadlines.stop):
            detail = process.explain(f"client {peer.name} {fault}")
            results[cases[-1]] = CaseResult(passed=False, detail=detail, ms=results[cases[-1]].ms)
    return results


class ProtocolError(Exception):
    """The process broke the protocol and must not run further cases."""


def read_result(process: ChildProcess, case: str, seconds: float) -> CaseResult:
    """Read the result line of a client's next case.

    Raises:
        ProtocolError: the line does not match PROTOCOL.md, or did not arrive in time.
    """
    try:
        line = process.read_line(seconds)
    except TimeoutError:
        raise ProtocolError(f"did not report {case} within {max(0, seconds):.3g} s") from None
    if not line:
        raise ProtocolError(f"{process.how_it_ended()} before it reported {case}")
    with suppress(ValueError):
        match json.loads(line):
            case {
                "case": str(reported),
                "result": "pass" | "fail" | "unimplemented" as result,
                "detail": str(detail),
                "ms": int(ms) | float(ms),
            } if reported == case and 0 <= ms < math.inf:
                # JSON can contain half a surrogate pair, for example from a case with non-BMP characters. UTF-8 cannot.
                detail = detail.encode(errors="replace").decode()
                if result == "pass":
                    return CaseResult(passed=True, detail=detail, ms=ms)
                return CaseResult(passed=False, detail=f"{result}: {detail}", ms=ms)
    expected = f'{{"case":"{case}","result":"pass|fail|unimplemented","detail":"...","ms":1}}'
    raise ProtocolError(f"printed {quoted(line)} instead of the result {expected}")


def _fault_at_exit(process: ChildProcess, expected: int, seconds: float) -> str:
    """Describe a fault after the last case: more output, no exit or a wrong exit code. Return `""` if there is none."""
    try:
        if line := process.read_line(seconds):
            return f"printed {quoted(line)} after its last case"
        code = process.wait(seconds)
    except TimeoutError:
        return f"still ran {seconds:g} s after its last case"
    return "" if code == expected else f"exited with code {code}, but its results require {expected}"
