"""The three commands of every peer: serve, greet and interop."""

import asyncio
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
    """Reads permissions in octal: `0660`, `660` or `0o660`."""
    try:
        mode = int(value, 8)
    except ValueError as error:
        raise click.BadParameter(f"mode {value!r} is not octal; write it as in 0660") from error
    if not 0 <= mode <= 0o777:
        raise click.BadParameter(f"mode {value!r} is none a socket can have; give one from 0000 to 0777")
    return mode


def _group(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Reads the number of a group, or looks up its name."""
    if value is None:
        return None
    if value.isdecimal():
        return int(value)
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError as error:
        raise click.BadParameter(
            f"no group is named {value!r} on this machine; create it, or give its number"
        ) from error


@click.group()
def command() -> None:
    """The grpclib peer of the interop matrix."""


@command.command("serve")
@socket_option
@click.option("--mode", callback=_mode, default="0660", help="Permissions of the socket. [0660]")
@click.option("--group", callback=_group, help="Group of the socket, a name or a number. [the process's]")
@click.option("--grace", type=click.FloatRange(min=0), default=5.0, help="Seconds that calls have to finish. [5]")
@click.option("--trust-folder", is_flag=True, help="Serve in a folder that every user may write to.")
@click.option("--takeover", is_flag=True, help="Take the path over from a server that serves there.")
@click.option(
    "--on-removed",
    type=click.Choice(["serve", "stop"]),
    default="serve",
    help="What to do when someone removes the socket: serve what is in progress, or stop with code 1. [serve]",
)
def serve_command(address: SocketAddress, **options: Any) -> None:
    """Serves Greeter, grpc.testing.TestService, OpenRcaService, health and reflection until SIGTERM or SIGINT."""
    asyncio.run(serve(address, **options))


@command.command("greet")
@socket_option
@click.option("--name", required=True, help="Who is greeted.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, help="Seconds that a call may take. [5]"
)
def greet_command(address: SocketAddress, name: str, timeout: float) -> None:
    """Makes all four kinds of call of Greeter and prints what was said."""

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
    help="An official case; may be given again.",
)
def interop_command(address: SocketAddress, names: tuple[str, ...]) -> int:
    """Runs official cases and prints a line of JSON for each; the exit code is 0 if all passed."""
    return 0 if asyncio.run(run_cases(address, names, print_result)) else EXIT_FAILED


def print_result(result: Result) -> None:
    """Prints a line of JSON."""
    print_json(**dataclasses.asdict(result))


def main() -> None:
    """Runs the program and exits."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    run(command, "samehost-interop-grpclib")


if __name__ == "__main__":
    main()
