"""The command `samehost`: health and ping, with output for people or, with --json, for programs."""

import contextlib
import threading
from collections.abc import Iterator

import click
import grpc

from samehost_client import connect, explain
from samehost_client.health import SERVING, check
from samehost_client.ping import round_trip, summary
from samehost_common import SamehostError, SocketAddress
from samehost_common.program import EXIT_FAILED, print_json, socket_option

json_option = click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, help="Timeout of a call in seconds. [5]"
)
interval_option = click.option(
    "--interval", type=click.FloatRange(min=0.001), default=1.0, help="Seconds between two calls. [1]"
)


@click.group()
def command() -> None:
    """Calls a gRPC server on a Unix domain socket."""


@command.command()
@socket_option
@click.option("--service", default="", help="Full name of a service. [the whole server]")
@click.option("--watch", is_flag=True, help="Check repeatedly and print each change, until interrupted.")
@interval_option
@timeout_option
@json_option
def health(*, address: SocketAddress, service: str, watch: bool, interval: float, timeout: float, as_json: bool) -> int:
    """Checks the health of a server over a new connection. Exits with 0 only for SERVING."""
    status = printed = None
    with contextlib.suppress(KeyboardInterrupt):
        for _ in _every(interval, count=None if watch else 1):
            try:
                status, detail = check(address, service, timeout), ""
            except SamehostError as error:
                status, detail = _status_of(error), str(error)
            if status != printed:
                _print_health(address, service, status, detail, as_json=as_json)
                printed = status
    return 0 if status == SERVING else EXIT_FAILED


def _status_of(error: SamehostError) -> str:
    """Returns the status for a failed check. A server that answers is not UNREACHABLE."""
    code = error.__cause__.code() if isinstance(error.__cause__, grpc.RpcError) else None
    match code:
        case None | grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return "UNREACHABLE"
        case grpc.StatusCode.NOT_FOUND:
            return "SERVICE_UNKNOWN"  # the status of Watch in grpc.health.v1
        case _:
            return str(code.name)


@command.command()
@socket_option
@click.option("--count", type=click.IntRange(min=1), help="Number of calls. [until interrupted]")
@click.option("--wait", is_flag=True, help="Let each call wait for a server until its timeout.")
@interval_option
@timeout_option
@json_option
def ping(
    *, address: SocketAddress, count: int | None, wait: bool, interval: float, timeout: float, as_json: bool
) -> int:
    """Measures round trips of a small call over one connection. Exits with 0 if a call was answered."""
    times: list[float] = []
    lost = 0
    with contextlib.suppress(KeyboardInterrupt), connect(address) as channel:
        for number in _every(interval, count):
            try:
                times.append(round_trip(channel, timeout, wait_for_ready=wait))
                _print_answer(address, number, times[-1], as_json=as_json)
            except grpc.RpcError as error:
                lost += 1
                _print_no_answer(number, explain(error, address), as_json=as_json)
    _print_summary(address, times, lost, as_json=as_json)
    return 0 if times else EXIT_FAILED


def _every(interval: float, count: int | None) -> Iterator[int]:
    """Counts from 1 to `count`, once per interval; without an end if `count` is None."""
    pause = threading.Event()
    number = 1
    yield number
    while number != count:
        pause.wait(interval)
        number += 1
        yield number


def _print_health(address: SocketAddress, service: str, status: str, detail: str, *, as_json: bool) -> None:
    if as_json:
        print_json(address=str(address), service=service, status=status, detail=detail)
    else:
        print(f"{status}: {detail}" if detail else status, flush=True)


def _print_answer(address: SocketAddress, number: int, milliseconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(sequence=number, ms=round(milliseconds, 3))
    else:
        print(f"answer from {address}: sequence={number} time={milliseconds:.3f} ms", flush=True)


def _print_no_answer(number: int, reason: SamehostError, *, as_json: bool) -> None:
    if as_json:
        print_json(sequence=number, ms=None, detail=str(reason))
    else:
        print(f"no answer: sequence={number} {reason}", flush=True)


def _print_summary(address: SocketAddress, times: list[float], lost: int, *, as_json: bool) -> None:
    sent = len(times) + lost
    loss = 100 * lost / sent if sent else 0
    figures = summary(times)
    if as_json:
        rounded = {f"{name}_ms": round(value, 3) for name, value in figures.items()}
        print_json(address=str(address), sent=sent, answered=len(times), loss_percent=round(loss, 1), **rounded)
        return
    print(f"\n--- {address} statistics ---\n{sent} calls sent, {len(times)} answered, {loss:.0f}% lost")
    if figures:
        print(f"round trip {'/'.join(figures)} = {'/'.join(f'{value:.3f}' for value in figures.values())} ms")
