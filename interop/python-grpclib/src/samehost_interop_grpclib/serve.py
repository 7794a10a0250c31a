"""Runs a server from the creation of its socket to its last call."""

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
    """Serve until a signal or a takeover, then drain for at most `grace` seconds. A second signal stops at once.

    Args:
        address: the address to listen on.
        mode: the permissions of the socket.
        group: the number of its group; None keeps the group of the process.
        grace: seconds that calls have to finish.
        trust_folder: accept a folder that every user can write to.
        takeover: take the path over from a running server.
        on_removed: what to do when someone removes the socket: keep serving the connected clients, or stop.

    Raises:
        SamehostError: the server cannot listen on the path, or it stopped because the socket was removed.
    """
    stop_requested, hurried = _signals()
    reports, health = LoadReports(), Health(_SERVICES)
    services: list[IServable] = [GreeterService(), InteropService(reports), OpenRcaService(reports), health]
    server = Server(ServerReflection.extend(services))
    owner = f"{_IMPLEMENTATION} {grpclib.__version__}"
    file = SocketFile(address, mode=mode, gid=group, owner=owner, trust_folder=trust_folder)
    loop = asyncio.get_running_loop()
    try:
        # In a thread, because a running server may take seconds to hand its path over.
        private = await asyncio.to_thread(lambda: file.claim(takeover=takeover))
        await server.serve(private)
        file.publish(handed_over=lambda: loop.call_soon_threadsafe(stop_requested.set))
        _print_ready(address)
        watching = asyncio.create_task(_watch(file, address, stop_requested if on_removed == "stop" else None))
        await stop_requested.wait()
        watching.cancel()
        health.end()
    finally:
        file.withdraw()
    await _drain(server, grace, hurried)
    await server.stop()
    _ignore_signals()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def _watch(file: SocketFile, address: SocketAddress, stop_requested: asyncio.Event | None) -> None:
    """Wait until the socket is removed. Then set the event and raise an error, or log a warning if it is None."""
    await removal(file.is_lost)
    error = SamehostError(
        f"the socket {address.path} was removed or replaced, and new clients cannot connect; start the server again"
    )
    if stop_requested:
        stop_requested.set()
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
    """Return two events: one for the first signal, one for the second."""
    stop_requested, hurried = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurried if stop_requested.is_set() else stop_requested).set()

    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop_requested, hurried


def _ignore_signals() -> None:
    """Ignore signals until the program exits, so that the exit code stays 0 after the loop removes its handlers."""
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _print_ready(address: SocketAddress) -> None:
    print_json(
        event="ready",
        address=str(address),
        pid=os.getpid(),
        implementation=_IMPLEMENTATION,
        version=grpclib.__version__,
    )
