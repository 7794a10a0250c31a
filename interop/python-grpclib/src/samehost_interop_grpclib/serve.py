"""A server's whole life: from the socket's file to the last call."""

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Literal

import grpclib
from grpclib.reflection.service import ServerReflection

from samehost.greeter.v1 import greeter_pb2
from samehost.interop import orca_service_pb2, testing_pb2
from samehost_common import SamehostError, SocketAddress
from samehost_common.program import print_json
from samehost_interop_grpclib.greeter_service import GreeterService
from samehost_interop_grpclib.health import Health
from samehost_interop_grpclib.interop_service import InteropService
from samehost_interop_grpclib.orca import LoadReports, OpenRcaService
from samehost_interop_grpclib.removal import removal
from samehost_interop_grpclib.server import Server
from samehost_server._socket_file import SocketFile

if TYPE_CHECKING:
    from grpclib._typing import IServable

_IMPLEMENTATION = "grpclib"

_SERVICES = [
    greeter_pb2.DESCRIPTOR.services_by_name["GreeterService"].full_name,
    testing_pb2.DESCRIPTOR.services_by_name["TestService"].full_name,
    orca_service_pb2.DESCRIPTOR.services_by_name["OpenRcaService"].full_name,
]

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_LOG = logging.getLogger(__name__)


async def serve(
    address: SocketAddress,
    *,
    mode: int,
    group: int | None,
    grace: float,
    trust_folder: bool,
    takeover: bool,
    on_removed: Literal["serve", "stop"],
) -> None:
    """Serves until a signal or a takeover, then drains for at most `grace` seconds; another signal ends it at once.

    Args:
        address: where to serve.
        mode: permissions of the socket.
        group: number of its group; None leaves the process's own.
        grace: seconds that calls have to finish.
        trust_folder: serve in a folder that every user may write to.
        takeover: take the path over from a server that serves there.
        on_removed: what to do when someone removes the socket: serve on what is in progress, or stop.

    Raises:
        SamehostError: the path can't be had; or the socket was removed, and the server stopped.
    """
    asked, hurried = _signals()
    reports, health = LoadReports(), Health(_SERVICES)
    services: list[IServable] = [GreeterService(), InteropService(reports), OpenRcaService(reports), health]
    server = Server(ServerReflection.extend(services))
    owner = f"{_IMPLEMENTATION} {grpclib.__version__}"
    file = SocketFile(address, mode=mode, gid=group, owner=owner, trust_folder=trust_folder)
    loop = asyncio.get_running_loop()
    try:
        # In a thread, as a predecessor may take seconds to hand the path over.
        private = await asyncio.to_thread(lambda: file.claim(takeover=takeover))
        await server.serve(private)
        file.publish(handed_over=lambda: loop.call_soon_threadsafe(asked.set))
        _say_ready(address)
        watching = asyncio.create_task(_watch(file, address, asked if on_removed == "stop" else None))
        await asked.wait()
        watching.cancel()
        health.end()
    finally:
        file.withdraw()
    await _drain(server, grace, hurried)
    await server.stop()
    _ignore_signals()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def _watch(file: SocketFile, address: SocketAddress, asked: asyncio.Event | None) -> None:
    """Asks the server to stop when the socket is removed, and fails then; without an event, it is only said."""
    await removal(file.is_lost)
    error = SamehostError(
        f"someone has removed {address.path}, or put another in its place: no new client finds this server; "
        f"start it again, and leave the file alone"
    )
    if asked:
        asked.set()
        raise error
    _LOG.warning("%s", error)


async def _drain(server: Server, grace: float, hurried: asyncio.Event) -> None:
    draining = asyncio.create_task(server.drain(grace))
    hurrying = asyncio.create_task(hurried.wait())
    await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    draining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await draining


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: a signal has come, and a second one."""
    asked, hurried = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurried if asked.is_set() else asked).set()

    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return asked, hurried


def _ignore_signals() -> None:
    """Lets no signal end a program that has stopped and is about to exit with 0: the loop's handlers end with it."""
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _say_ready(address: SocketAddress) -> None:
    print_json(
        event="ready",
        address=str(address),
        pid=os.getpid(),
        implementation=_IMPLEMENTATION,
        version=grpclib.__version__,
    )
