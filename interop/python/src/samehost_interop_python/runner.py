"""Runs cases one after the other, each on its own channel, and reports each result."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import grpc

from samehost_client import SocketAddress, aio, connect
from samehost_interop_python import cases, cases_aio
from samehost_interop_python.checks import CaseFailure, describe

CASES = tuple(cases.CASES)

NEED_GOOGLE_CREDENTIALS = (
    "compute_engine_channel_credentials",
    "compute_engine_creds",
    "google_default_credentials",
    "jwt_token_creds",
    "oauth2_auth_token",
    "per_rpc_creds",
)
"""The official cases that this client does not implement, because they need a Google Cloud account."""

WAIT_SECONDS = 5.0
"""How long to wait for the server before the first case."""


@dataclass(frozen=True)
class Result:
    """The result of a case. `detail` has the expected and the actual value in one line; `ms` is the duration."""

    case: str
    result: Literal["pass", "fail", "unimplemented"]
    detail: str
    ms: float


def run_cases(
    address: SocketAddress, names: Iterable[str], report: Callable[[Result], None], *, asynchronous: bool
) -> bool:
    """Run these cases, report each result at once, and return whether all passed.

    Raises:
        SamehostError: no server can be reached.
    """
    results = asyncio.run(_run_async(address, names, report)) if asynchronous else _run(address, names, report)
    return all(result.result == "pass" for result in results)


def _run(address: SocketAddress, names: Iterable[str], report: Callable[[Result], None]) -> list[Result]:
    results = []
    connect(address, wait=WAIT_SECONDS).close()
    for name in names:
        started, detail = time.monotonic(), ""
        if case := cases.CASES.get(name):
            try:
                with connect(address) as channel:
                    case(cases.Peer(address, channel))
            except (CaseFailure, grpc.RpcError) as error:
                detail = _detail(error)
        results.append(_result(name, started, detail))
        report(results[-1])
    return results


async def _run_async(address: SocketAddress, names: Iterable[str], report: Callable[[Result], None]) -> list[Result]:
    results = []
    await (await aio.connect(address, wait=WAIT_SECONDS)).close()
    for name in names:
        started, detail = time.monotonic(), ""
        if case := cases_aio.CASES.get(name):
            try:
                async with await aio.connect(address) as channel:
                    await case(cases_aio.AsyncPeer(address, channel))
            except (CaseFailure, *aio.ENDED_WHILE_SENDING) as error:
                detail = _detail(error)
        results.append(_result(name, started, detail))
        report(results[-1])
    return results


def _detail(error: Exception) -> str:
    text = describe(error) if isinstance(error, grpc.RpcError) else str(error)
    return " ".join(text.split())


def _result(name: str, started: float, detail: str) -> Result:
    if name not in CASES:
        return Result(name, "unimplemented", "this client does not know the case: it needs Google credentials", 0)
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    return Result(name, "fail" if detail else "pass", detail, milliseconds)
