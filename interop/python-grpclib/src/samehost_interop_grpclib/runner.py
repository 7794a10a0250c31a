"""Runs cases one after the other, each on its own channel, and reports each result."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest

from samehost_common import SocketAddress
from samehost_interop_grpclib.cases import CASES, Peer
from samehost_interop_grpclib.checks import CaseFailure, describe
from samehost_interop_grpclib.diagnosis import explain
from samehost_interop_grpclib.dial import Channel
from samehost_interop_grpclib.statuses import statuses

NEED_GOOGLE_CREDENTIALS = (
    "compute_engine_channel_credentials",
    "compute_engine_creds",
    "google_default_credentials",
    "jwt_token_creds",
    "oauth2_auth_token",
    "per_rpc_creds",
)
"""The official cases that this client does not implement, because they need a Google Cloud account."""

_WAIT_SECONDS = 5.0
"""How long to wait for the server before the first case."""

_CASE_SECONDS = 90.0
"""How long a case may take, which is longer than the longest deadline of its calls."""


@dataclass(frozen=True)
class Result:
    """The result of a case. `detail` has the expected and the actual value in one line; `ms` is the duration."""

    case: str
    result: Literal["pass", "fail", "unimplemented"]
    detail: str
    ms: float


async def run_cases(address: SocketAddress, names: Iterable[str], report: Callable[[Result], None]) -> bool:
    """Run these cases, report each result at once, and return whether all passed.

    Raises:
        SamehostError: no server can be reached.
    """
    await _wait_for_server(address)
    results = []
    for name in names:
        results.append(await _run_case(address, name))
        report(results[-1])
    return all(result.result == "pass" for result in results)


async def _wait_for_server(address: SocketAddress) -> None:
    """Call the server's health service until it answers, whatever the answer. Retry if the connection is lost."""
    end = time.monotonic() + _WAIT_SECONDS
    async with Channel(address, wait_for_ready=True) as channel:
        while True:
            left = end - time.monotonic()
            try:
                with statuses():
                    await HealthStub(channel).Check(HealthCheckRequest(), timeout=left)
            except GRPCError as error:
                if isinstance(error.__cause__, StreamTerminatedError) and left > 0:
                    continue
                if error.__cause__ is not None:  # statuses() converted another error, so this is not a server's answer
                    raise explain(error, address) from error
            return


async def _run_case(address: SocketAddress, name: str) -> Result:
    if name not in CASES:
        return Result(name, "unimplemented", "this client does not know the case: it needs Google credentials", 0)
    started, detail = time.monotonic(), ""
    try:
        async with asyncio.timeout(_CASE_SECONDS), Channel(address) as channel:
            with statuses():
                await CASES[name](Peer(address, channel))
    except CaseFailure as failure:
        detail = str(failure)
    except GRPCError as error:
        detail = describe(error)
    except TimeoutError:
        detail = f"the case: expected an end within {_CASE_SECONDS:g} s, got none"
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    return Result(name, "fail" if detail else "pass", " ".join(detail.split()), milliseconds)
