"""Runs cases one after the other, each on a channel of its own, and says of each how it went."""

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
"""The official cases that this client does not know: they take an account of Google's cloud."""

_WAIT_SECONDS = 5.0
"""How long to wait for the server before the first case."""

_CASE_SECONDS = 90.0
"""How long a case may take: longer than the longest of the deadlines of its calls."""


@dataclass(frozen=True)
class Result:
    """How a case went: `detail` says what was expected and what came instead, in one line; `ms` is how long it took."""

    case: str
    result: Literal["pass", "fail", "unimplemented"]
    detail: str
    ms: float


async def run_cases(address: SocketAddress, names: Iterable[str], say: Callable[[Result], None]) -> bool:
    """Runs the cases of these names, says each result as soon as it is there, and returns whether all passed.

    Raises:
        SamehostError: no server could be reached.
    """
    await _wait_for_server(address)
    results = []
    for name in names:
        results.append(await _run_case(address, name))
        say(results[-1])
    return all(result.result == "pass" for result in results)


async def _wait_for_server(address: SocketAddress) -> None:
    """Asks for the server's health, again where the connection is lost meanwhile; any answer will do."""
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
                if error.__cause__ is not None:  # no answer of the server's, but what statuses() made of another error
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
