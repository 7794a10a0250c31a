"""Runs one peer's client: all cases of a pair in as few processes as possible."""

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
    """How a case went: `detail` says why it did not pass, `ms` is None where no client measured it."""

    passed: bool
    detail: str
    ms: float | None


def run_cases(peer: Peer, socket: Path, cases: Sequence[str], deadlines: Deadlines) -> dict[str, CaseResult]:
    """Runs a client with all cases; one that dies, hangs or breaks the protocol costs the case at hand alone.

    The case at hand is the first of those that were asked for and not yet reported: clients report in the order
    asked for. The cases after it go to a new process.
    """
    end = time.monotonic() + deadlines.pair
    results: dict[str, CaseResult] = {}
    while waiting := [case for case in cases if case not in results]:
        if time.monotonic() >= end:
            fault = f"client {peer.name} did not come to this case within the {deadlines.pair:g} s of its pair"
            return results | {case: CaseResult(passed=False, detail=fault, ms=None) for case in waiting}
        results |= _run_process(peer, socket, waiting, deadlines, end)
    return results


def _run_process(
    peer: Peer, socket: Path, cases: Sequence[str], deadlines: Deadlines, end: float
) -> dict[str, CaseResult]:
    """The results that one process gives: at least one, the last of them perhaps the harness's own verdict."""
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
    """The process can't be trusted with the cases that follow."""


def read_result(process: ChildProcess, case: str, seconds: float) -> CaseResult:
    """Reads the line of a client's next case.

    Raises:
        ProtocolError: it is not what PROTOCOL.md says, or not there in time.
    """
    try:
        line = process.read_line(seconds)
    except TimeoutError:
        raise ProtocolError(f"reported nothing for {max(0, seconds):.3g} s while {case} was at hand") from None
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
                # JSON can spell half a surrogate pair, as cases about non-BMP characters may; no file can hold one.
                detail = detail.encode(errors="replace").decode()
                if result == "pass":
                    return CaseResult(passed=True, detail=detail, ms=ms)
                return CaseResult(passed=False, detail=f"{result}: {detail}", ms=ms)
    expected = f'{{"case":"{case}","result":"pass|fail|unimplemented","detail":"...","ms":1}}'
    raise ProtocolError(f"printed {quoted(line)} where the result is {expected}")


def _fault_at_exit(process: ChildProcess, expected: int, seconds: float) -> str:
    """What is wrong after the last case, `""` if nothing is: more output, no end, or an exit code that lies."""
    try:
        if line := process.read_line(seconds):
            return f"printed {quoted(line)} after its last case"
        code = process.wait(seconds)
    except TimeoutError:
        return f"still ran {seconds:g} s after its last case"
    return "" if code == expected else f"exited with code {code} and its results mean {expected}"
