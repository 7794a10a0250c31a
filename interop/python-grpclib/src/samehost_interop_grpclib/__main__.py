"""Defines the three commands of every peer: serve, greet and interop."""

import asyncio
import contextlib
import dataclasses
import grp
import logging
from typing import Any

import click
from grpclib.exceptions import GRPCError

from samehost_common import SocketAddress
from samehost_common.program import EXIT_FAILED, print_json, run, socket_option
from samehost_interop_grpclib.cases import CASES
from samehost_interop_grpclib.diagnosis import explain
from samehost_interop_grpclib.dial import Channel
from samehost_interop_grpclib.greet import greet
from samehost_interop_grpclib.runner import NEED_GOOGLE_CREDENTIALS, Result, run_cases
from samehost_interop_grpclib.serve import serve
from samehost_interop_grpclib.statuses import statuses


def _mode(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Parse octal permissions: `0660`, `660` or `0o660`."""
    with contextlib.suppress(ValueError):
        if 0 <= (mode := int(value, 8)) <= 0o777:
            return mode
    raise click.BadParameter(f"invalid mode {value!r}: use an octal number from 0000 to 0777")


def _group(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Parse the number of a group, or look up its name."""
    if value is None:
        return None
    if value.isdecimal():
        return int(value)
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError as error:
        raise click.BadParameter(
            f"invalid group {value!r}: no group has this name; create it or use its number"
        ) from error


@click.group()
def command() -> None:
    """The grpclib peer of the interop matrix."""


@command.command("serve")
@socket_option
@click.option("--mode", callback=_mode, default="0660", help="Permissions of the socket. [0660]")
@click.option("--group", callback=_group, help="Group of the socket: a name or a number. [group of the process]")
@click.option("--grace", type=click.FloatRange(min=0), default=5.0, help="Seconds that calls have to finish. [5]")
@click.option("--trust-folder", is_flag=True, help="Accept a folder that every user can write to.")
@click.option("--takeover", is_flag=True, help="Take the path over from a running server.")
@click.option(
    "--on-removed",
    type=click.Choice(["serve", "stop"]),
    default="serve",
    help="What to do when someone removes the socket: keep serving, or stop with exit code 1. [serve]",
)
def serve_command(address: SocketAddress, **options: Any) -> None:
    """Serve Greeter, grpc.testing.TestService, OpenRcaService, health and reflection until SIGTERM or SIGINT."""
    asyncio.run(serve(address, **options))


@command.command("greet")
@socket_option
@click.option("--name", required=True, help="The name to greet.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, help="Seconds that a call may take. [5]"
)
def greet_command(address: SocketAddress, name: str, timeout: float) -> None:
    """Make all four kinds of call of Greeter and print the messages."""

    async def greet_in_loop() -> None:
        async with Channel(address, wait_for_ready=True) as channel:
            with statuses():
                await greet(channel, name, timeout)

    try:
        asyncio.run(greet_in_loop())
    except GRPCError as error:
        raise explain(error, address) from error


@command.command("interop")
@socket_option
@click.option(
    "--case",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    type=click.Choice((*CASES, *NEED_GOOGLE_CREDENTIALS)),
    help="An official case; repeat the option for more.",
)
def interop_command(address: SocketAddress, names: tuple[str, ...]) -> int:
    """Run official cases and print a line of JSON for each. The exit code is 0 if all passed."""
    return 0 if asyncio.run(run_cases(address, names, print_result)) else EXIT_FAILED


def print_result(result: Result) -> None:
    """Print a result as one line of JSON."""
    print_json(**dataclasses.asdict(result))


def main() -> None:
    """Run the program and exit."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    run(command, "samehost-interop-grpclib")


if __name__ == "__main__":
    main()
