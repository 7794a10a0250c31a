"""The command `samehost-demo`, which makes all four kinds of calls of Greeter."""

from collections.abc import Callable

import click
import grpc

from samehost_client import aio, connect, explain
from samehost_client.commands import json_option, timeout_option
from samehost_common import SocketAddress
from samehost_common.program import print_json, socket_option
from samehost_common.tuning import run_in_loop, stream_options
from samehost_demo.client import Exchange, greet, greet_async


@click.group()
def command() -> None:
    """Calls the example service Greeter on a Unix domain socket."""


@command.command("greet")
@socket_option
@click.option("--name", default="world", help="Name to greet. [world]")
@timeout_option
@json_option
@click.option("--aio", "asynchronous", is_flag=True, help="Call from an asyncio event loop.")
def greet_command(address: SocketAddress, name: str, timeout: float, as_json: bool, asynchronous: bool) -> None:
    """Makes all four kinds of calls of Greeter and prints their messages."""
    show = _print_exchange_json if as_json else print_exchange
    make_greetings(address, name, timeout, show, asynchronous=asynchronous)


def make_greetings(
    address: SocketAddress, name: str, timeout: float, show: Callable[[Exchange], None], *, asynchronous: bool
) -> None:
    """Waits for the server, makes the calls, and shows each exchange as soon as it ends.

    Raises:
        SamehostError: no server can be reached, or a call failed.
    """

    async def greet_in_loop() -> None:
        async with aio.connect(address, wait=timeout) as channel:
            async for exchange in greet_async(channel, name, timeout):
                show(exchange)

    try:
        if asynchronous:
            run_in_loop(greet_in_loop())
            return
        with connect(address, wait=timeout, options=stream_options()) as channel:
            for exchange in greet(channel, name, timeout):
                show(exchange)
    except grpc.RpcError as error:
        raise explain(error, address) from error


def print_exchange(exchange: Exchange) -> None:
    """Prints the messages of a call for people."""
    print(exchange.method)
    for text in exchange.sent:
        print(f"  > {text}")
    for text in exchange.received:
        print(f"  < {text}", flush=True)


def _print_exchange_json(exchange: Exchange) -> None:
    print_json(method=exchange.method, sent=exchange.sent, received=exchange.received)
