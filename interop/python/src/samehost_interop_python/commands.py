"""Defines the three commands of every peer: serve, greet and interop."""

import dataclasses
import os
from typing import Any

import click

from samehost_client.commands import timeout_option
from samehost_common import SocketAddress
from samehost_common.engine import ENGINES, VARIABLE
from samehost_common.program import EXIT_FAILED, print_json, socket_option
from samehost_demo.commands import make_greetings, print_exchange
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_interop_python.compression import (
    AS_ON_THE_WIRE,
    MAX_MESSAGE_BYTES,
    AsyncCompressionInterceptor,
    CompressionInterceptor,
)
from samehost_interop_python.orca import AsyncOpenRcaService, LoadReports, OpenRcaService
from samehost_interop_python.runner import CASES, NEED_GOOGLE_CREDENTIALS, Result, run_cases
from samehost_interop_python.service import InteropService
from samehost_interop_python.service_aio import AsyncInteropService
from samehost_server import signals
from samehost_server.commands import serve, serve_options

MAX_CONCURRENT_CALLS = 1100
"""More than the 1000 calls that concurrent_large_unary makes at once."""


@click.group()
@click.option("--aio", "asynchronous", is_flag=True, help="Serve or call in an asyncio event loop.")
@click.option("--engine", type=click.Choice(ENGINES), help="The HTTP/2 implementation. [SAMEHOST_ENGINE, else grpcio]")
@click.pass_context
def command(context: click.Context, asynchronous: bool, engine: str | None) -> None:
    """The Python peer of the interop matrix."""
    context.obj = asynchronous
    if engine:
        os.environ[VARIABLE] = engine


@command.command("serve")
@serve_options
@click.pass_obj
def serve_command(asynchronous: bool, /, address: SocketAddress, **options: Any) -> None:
    """Serve Greeter, grpc.testing.TestService, OpenRcaService, health and reflection until SIGTERM or SIGINT."""
    signals.listen()
    try:
        serve(
            address,
            services(asynchronous=asynchronous),
            asynchronous=asynchronous,
            max_concurrent_calls=MAX_CONCURRENT_CALLS,
            max_message_bytes=MAX_MESSAGE_BYTES,
            interceptors=[AsyncCompressionInterceptor() if asynchronous else CompressionInterceptor()],
            options=[AS_ON_THE_WIRE],
            **options,
        )
    finally:
        signals.ignore()


@command.command("greet")
@socket_option
@click.option("--name", required=True, help="The name to greet.")
@timeout_option
@click.pass_obj
def greet_command(asynchronous: bool, /, address: SocketAddress, name: str, timeout: float) -> None:
    """Make all four kinds of call of Greeter and print the messages."""
    make_greetings(address, name, timeout, print_exchange, asynchronous=asynchronous)


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
@click.pass_obj
def interop_command(asynchronous: bool, /, address: SocketAddress, names: tuple[str, ...]) -> int:
    """Run official cases and print a line of JSON for each. The exit code is 0 if all passed."""
    return 0 if run_cases(address, names, print_result, asynchronous=asynchronous) else EXIT_FAILED


def services(*, asynchronous: bool) -> list[object]:
    """Return the services of this peer."""
    reports = LoadReports()
    if asynchronous:
        return [AsyncGreeterService(), AsyncInteropService(reports), AsyncOpenRcaService(reports)]
    return [GreeterService(), InteropService(reports), OpenRcaService(reports)]


def print_result(result: Result) -> None:
    """Print a result as one line of JSON."""
    print_json(**dataclasses.asdict(result))
