"""Runs the socket cases, each with its own programs and folder."""

import time
from collections.abc import Mapping

import grpc

from samehost_interop.build import Builds
from samehost_interop.cells import Cell
from samehost_interop.client import CaseResult
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import CaseError
from samehost_interop.peers import Peer
from samehost_interop.server import private_folder
from samehost_interop.socket_suite import (
    PREFIX,
    client_cases,
    connection_cases,
    folder_cases,
    server_cases,
    takeover_cases,
)
from samehost_interop.socket_suite.pair import Pair

_CASES = {
    **server_cases.CASES,
    **folder_cases.CASES,
    **connection_cases.CASES,
    **takeover_cases.CASES,
    **takeover_cases.HARNESS_CASES,
    **client_cases.CASES,
}


class SocketRunner:
    """Return the result of one cell at a time.

    Args:
        peers: all peers by name.
        builds: builds the peers.
        deadlines: how long to wait for peers.
        repeats: how often `ready_means_ready` starts its server.
        messages: the errors that every language reports in the same words, by name.
    """

    def __init__(
        self,
        peers: Mapping[str, Peer],
        builds: Builds,
        deadlines: Deadlines,
        repeats: int,
        messages: Mapping[str, str],
    ) -> None:
        self._peers = peers
        self._messages = messages
        self._builds = builds
        self._deadlines = deadlines
        self._repeats = repeats
        self._ready: dict[str, str] | None = None

    def result(self, cell: Cell) -> CaseResult:
        """Return the result of a cell.

        Raises:
            PeerError: the client or server cannot be built or started, or is not ready in time.
        """
        client, server = self._peers[cell.client], self._peers[cell.server]
        for peer in (client, server):
            self._builds.prepare(peer)
        started = time.monotonic()
        detail = ""
        with private_folder() as folder:
            pair = Pair(client, server, folder, self._deadlines, self._repeats, messages=self._messages)
            try:
                _CASES[cell.case.removeprefix(PREFIX)](pair)
            except CaseError as error:
                detail = str(error)
            except grpc.RpcError as error:
                detail = f"status of a call: expected OK, got {error.code().name} {error.details()!r}"
        self._ready = pair.ready
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        return CaseResult(passed=not detail, detail=detail, ms=milliseconds)

    def alone(self, cell: Cell) -> CaseResult:
        """Run a cell again."""
        return self.result(cell)

    def ready(self, cell: Cell) -> list[dict[str, str]]:  # noqa: ARG002 - it is the cell that has just been run
        """Return the name and version from the ready line of the cell's server, if the case started one."""
        return [self._ready] if self._ready else []

    def stop(self) -> None:
        """Do nothing, because no program runs after a cell."""

    def abandon(self) -> None:
        """Do nothing, because no program runs after a cell."""
