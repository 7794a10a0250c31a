"""Runs a client or a server, and prints its results on stdout as lines of JSON.

`python -m bench.end serve END ADDRESS` or `call END SERVER_PID COMMANDS`. END is bench.contenders.End in JSON. COMMANDS
is a file with commands for the client. The first command has the address of the server.
"""

import asyncio
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import buffers
from bench.calls import AsyncCalls, Calls, measure, measure_async
from bench.contenders import End
from bench.works import Work
from samehost_common.tuning import run_in_loop, tune


def serve(end: End, address: str) -> None:
    """Serve until the process is killed, and print a line when the server is ready."""
    way = importlib.import_module(f"bench.ways.{end.way}")
    if end.asynchronous and hasattr(way, "serve_async"):
        _loop_runner(end)(way.serve_async(address, _print_ready))
    else:
        way.serve(address, _print_ready)


def call(end: End, server_pid: int, commands: Path) -> None:
    """Make a first call, print a line, and then run the commands."""
    way = importlib.import_module(f"bench.ways.{end.way}")
    lines = _each(commands)
    address = next(lines)["address"]
    if end.asynchronous:
        _loop_runner(end)(_call_async(way, address, server_pid, lines))
    else:
        _call(way, address, server_pid, lines)


def _call(way: Any, address: str, server_pid: int, commands: Iterator[dict[str, Any]]) -> None:
    with ExitStack() as stack:
        calls: Calls = stack.enter_context(way.connect(address))
        calls.unary(b"")
        _print_line()
        for command in commands:
            try:
                for _ in range(command.get("connections", 0)):
                    stack.enter_context(way.connect(address)).unary(b"")
                timing = "work" in command and measure(calls, Work(**command["work"]), command["seconds"], server_pid)
            except Exception as error:  # noqa: BLE001 - reported, and the next command may succeed
                _print_line(fault=f"{type(error).__name__}: {error}")
            else:
                _print_line(**asdict(timing) if timing else {})


async def _call_async(way: Any, address: str, server_pid: int, commands: Iterator[dict[str, Any]]) -> None:
    async with AsyncExitStack() as stack:
        calls: AsyncCalls = await stack.enter_async_context(way.connect_async(address))
        await calls.unary(b"")
        _print_line()
        # Waiting for a command blocks the loop, which has nothing to do between two commands.
        for command in commands:
            try:
                for _ in range(command.get("connections", 0)):
                    await (await stack.enter_async_context(way.connect_async(address))).unary(b"")
                timing = "work" in command and await measure_async(
                    calls, Work(**command["work"]), command["seconds"], server_pid
                )
            except Exception as error:  # noqa: BLE001 - reported, and the next command may succeed
                _print_line(fault=f"{type(error).__name__}: {error}")
            else:
                _print_line(**asdict(timing) if timing else {})


def _each(commands: Path) -> Iterator[dict[str, Any]]:
    with commands.open() as lines:
        yield from map(json.loads, lines)


def _loop_runner(end: End) -> Callable[[Any], None]:
    """Return the function that runs a coroutine: in uvloop if the switch is set, otherwise in asyncio's own loop."""
    return run_in_loop if "uvloop" in end.switches else asyncio.run


def _print_ready(address: str) -> None:
    _print_line(address=address)


def _print_line(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _let_others_finish() -> None:
    """Keep threads that wake up from preempting running threads (SCHED_BATCH of sched(7))."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _pin(role: str) -> None:
    """Pin this process to one core: the server to the first, the client to the last."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0] if role == "serve" else cores[-1]})


def main() -> None:
    """Tune this process before anything imports grpc, and run the client or the server."""
    role, description, *rest = sys.argv[1:]
    end = End.from_json(description)
    tune(
        server_engine="engine" in end.switches,
        client_engine="client engine" in end.switches,
        allocator="allocator" in end.switches,
    )
    if "buffers" in end.switches:
        buffers.keep_wide()
    if "batch" in end.switches:
        _let_others_finish()
    if "pinned" in end.switches:
        _pin(role)
    # A thousand connections need more descriptors than the usual soft limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if role == "serve":
        serve(end, rest[0])
    else:
        call(end, int(rest[0]), Path(rest[1]))


if __name__ == "__main__":
    main()
