"""The command `samehost-server`, which serves any servicers."""

import importlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from samehost_common import OptionError, SocketAddress
from samehost_common.engine import ENGINES
from samehost_common.program import socket_option
from samehost_common.tuning import run_in_loop
from samehost_server import Server, aio
from samehost_server._access_log import LOG as ACCESS_LOG
from samehost_server._access_log import AccessLog, AsyncAccessLog
from samehost_server._watchdog import Watchdog
from samehost_server.errors import ServiceError

_BEYOND_GRACE_SECONDS = 2.0
"""The time that the program may take from the signal to its end, beyond the grace."""


def _octal(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError as error:
        raise click.BadParameter(f"invalid mode {value!r}: use an octal number, such as 0660") from error


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that PROTOCOL.md requires of every server program."""
    for option in (
        click.option("--key", type=click.Path(path_type=Path), help="PEM file of the key of the certificate."),
        click.option(
            "--certificate", type=click.Path(path_type=Path), help="PEM file of a certificate chain, for TLS."
        ),
        click.option(
            "--ca", type=click.Path(path_type=Path), help="PEM file of authorities: clients need their certificates."
        ),
        click.option("--trust-folder", is_flag=True, help="Serve in a folder that every user can write to."),
        click.option("--takeover", is_flag=True, help="Replace a server that runs on the path, without losing a call."),
        click.option(
            "--on-removed",
            type=click.Choice(["serve", "stop"]),
            default="serve",
            help="What to do when the socket is removed: serve connected clients, or stop with exit code 1. [serve]",
        ),
        click.option(
            "--engine", type=click.Choice(ENGINES), help="Engine of the server. [SAMEHOST_ENGINE, else grpcio]"
        ),
        click.option("--grace", type=float, default=5.0, help="Seconds that calls in progress have to finish. [5]"),
        click.option("--group", help="Name or number of the group of the socket. [that of the process]"),
        click.option(
            "--mode", callback=_octal, metavar="OCTAL", default="0660", help="Permissions of the socket. [0660]"
        ),
        socket_option,
    ):
        command = option(command)
    return command


def serve(address: SocketAddress, services: Iterable[object], *, asynchronous: bool, **options: Any) -> None:
    """Serves until a signal, and prints the ready line on stdout.

    The program has to call samehost_server.signals.listen before, and samehost_server.signals.ignore afterwards.

    Args:
        address: the address of the socket.
        services: the services to serve.
        asynchronous: serve in an asyncio event loop.
        options: the other options of Server.

    Raises:
        click.UsageError: an option is out of range.
        SamehostError: the server cannot start.
    """
    watchdog = Watchdog(options.get("grace", 0.0) + _BEYOND_GRACE_SECONDS)
    try:
        if not asynchronous:
            with watchdog, Server(address, services, **options) as server:
                server.wait(announce=True)
            return

        async def serve_in_loop() -> None:
            with watchdog:
                async with aio.Server(address, services, **options) as server:
                    await server.wait(announce=True)

        run_in_loop(serve_in_loop())
    except OptionError as error:
        raise click.UsageError(str(error)) from error


@click.command()
@serve_options
@click.option("--aio", "asynchronous", is_flag=True, help="Serve in an asyncio event loop.")
@click.option(
    "--services",
    "names",
    multiple=True,
    required=True,
    metavar="MODULE:ATTRIBUTE",
    help="A servicer or a list of servicers. Repeat the option for more.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    help="Minimum level of the log on stderr, unless the services configure logging themselves. [warning]",
)
@click.option("--access-log", is_flag=True, help="Log each call on stderr: its method, status and milliseconds.")
def command(names: Sequence[str], asynchronous: bool, log_level: str, access_log: bool, **options: Any) -> None:
    """Serves gRPC on a Unix domain socket until SIGTERM or SIGINT."""
    services = [each for name in names for each in load(name)]
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if access_log:
        options["interceptors"] = [AsyncAccessLog() if asynchronous else AccessLog()]
        ACCESS_LOG.setLevel(logging.INFO)
    serve(services=services, asynchronous=asynchronous, **options)


def load(name: str) -> list[object]:
    """Imports `module:attribute`. Finds modules in the working directory too.

    If the module itself raises an error, prints its traceback on stderr.

    Raises:
        ServiceError: the module or attribute does not exist, or the import failed.
        click.UsageError: the name is invalid.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise click.UsageError(f"invalid --services {name!r}: use MODULE:ATTRIBUTE, such as app.services:greeter")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module of the user may raise anything
        remedy = (
            "see the traceback above"
            if _print_traceback(error)
            else "use a module that can be imported from here, and one of its attributes"
        )
        raise ServiceError(f"cannot load --services {name!r}: {type(error).__name__}: {error}; {remedy}") from error
    return list(found) if isinstance(found, list | tuple) else [found]


def _print_traceback(error: Exception) -> bool:
    """Prints the traceback of the user's module without the frames of the import; False if nothing else is in it."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename.startswith((__file__, importlib.__file__, "<frozen importlib")):
        trace = trace.tb_next
    if trace is None and not isinstance(error, SyntaxError):  # the import system raises it for the module
        return False
    traceback.print_exception(error.with_traceback(trace))
    return True
