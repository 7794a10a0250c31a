"""The options, exit codes and one-line errors that PROTOCOL.md requires of every program."""

import json
import os
import sys
from typing import NoReturn

import click

from samehost_common.address import SocketAddress
from samehost_common.errors import AddressError, SamehostError

EXIT_FAILED = 1
EXIT_USAGE = 2


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> SocketAddress:
    try:
        return SocketAddress.parse(value)
    except AddressError as error:
        raise click.BadParameter(str(error)) from error


socket_option = click.option(
    "--socket", "address", callback=_address, metavar="PATH", required=True, help="Absolute path of the socket."
)
"""A path, or an address `unix:/absolute/path`. An invalid one is wrong usage."""


def run(command: click.Command, name: str) -> NoReturn:
    """Runs a program and exits with 0, with 1 for a failure or 2 for wrong usage. An error is one line on stderr."""
    try:
        sys.exit(command.main(prog_name=name, standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except click.UsageError as error:
        _exit(name, error.format_message(), EXIT_USAGE)
    except click.ClickException as error:
        _exit(name, error.format_message(), EXIT_FAILED)
    except SamehostError as error:
        _exit(name, str(error), EXIT_FAILED)
    except (click.Abort, KeyboardInterrupt):
        _exit(name, "interrupted", EXIT_FAILED)
    except BrokenPipeError:
        # The reader of the output has exited. Without this, Python would fail again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)


def print_json(**fields: object) -> None:
    """Prints one line of JSON on stdout and flushes it."""
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def _exit(name: str, message: str, code: int) -> NoReturn:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
