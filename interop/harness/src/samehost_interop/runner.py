"""Runs the matrix pair by pair: one server at a time, and each client once with all of its cases."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from samehost_interop.build import Builds
from samehost_interop.cells import Cell
from samehost_interop.client import CaseResult, run_cases
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import PeerError
from samehost_interop.peers import Peer
from samehost_interop.server import RunningServer, serving


class Runner:
    """Return the result of one cell at a time.

    The first cell of a server starts the server, and the first cell of a pair runs all cases of the pair.

    Args:
        peers: all peers by name.
        cells: the cells of the run. All cells of one server must follow each other.
        builds: builds the peers.
        deadlines: how long to wait for peers.
    """

    def __init__(self, peers: Mapping[str, Peer], cells: Sequence[Cell], builds: Builds, deadlines: Deadlines) -> None:
        self._peers = peers
        self._cells = cells
        self._builds = builds
        self._deadlines = deadlines
        self._stack = ExitStack()
        self._name = ""
        self._server: RunningServer | PeerError | None = None
        self._results: dict[str, dict[str, CaseResult]] = {}

    def server(self, name: str) -> RunningServer:
        """Return the running server of that name. Start it if necessary, and stop another server first.

        Raises:
            PeerError: the server cannot be built or started. Later calls raise the same error.
        """
        self._builds.prepare(self._peers[name])
        if name != self._name:
            self.stop()
            self._name = name
            self._server = self._start(self._peers[name])
        if not isinstance(self._server, RunningServer):
            assert self._server is not None  # noqa: S101 - set above
            raise self._server.with_traceback(None)
        return self._server

    def result(self, cell: Cell) -> CaseResult:
        """Return the result of a cell.

        Raises:
            PeerError: the client or server cannot be built, or the server cannot be started or has died.
        """
        self._builds.prepare(self._peers[cell.client])
        server = self.server(cell.server)
        if cell.client not in self._results:
            server.check()
            self._results[cell.client] = self._run_pair(cell.client, server)
        return self._results[cell.client][cell.case]

    def alone(self, cell: Cell) -> CaseResult:
        """Run a cell again, with a server and a client of its own.

        Raises:
            PeerError: the client or server cannot be built, or the server cannot be started or stopped.
        """
        client, server = self._peers[cell.client], self._peers[cell.server]
        for peer in (client, server):
            self._builds.prepare(peer)
        with serving(server, self._deadlines) as running:
            return run_cases(client, running.socket, [cell.case], self._deadlines)[cell.case]

    def ready(self, cell: Cell) -> list[dict[str, str]]:
        """Return the name and version from the ready line of the cell's server."""
        server = self.server(cell.server)
        return [{"name": server.name, "implementation": server.implementation, "version": server.version}]

    def stop(self) -> None:
        """Stop the running server, if there is one.

        Raises:
            PeerError: the server did not stop as PROTOCOL.md requires. It is killed in any case.
        """
        self._name = ""
        self._server = None
        self._results = {}
        self._stack.close()

    def abandon(self) -> None:
        """Stop the running server of an interrupted run, and ignore errors."""
        with suppress(PeerError):
            self.stop()

    def _start(self, peer: Peer) -> RunningServer | PeerError:
        try:
            return self._stack.enter_context(serving(peer, self._deadlines))
        except PeerError as error:
            return error

    def _run_pair(self, client: str, server: RunningServer) -> dict[str, CaseResult]:
        cases = [cell.case for cell in self._cells if (cell.client, cell.server) == (client, server.name)]
        results = run_cases(self._peers[client], server.socket, cases, self._deadlines)
        try:
            server.check()
        except PeerError as error:  # the likely cause of the failed cases, so their details show it
            return {
                case: result if result.passed else replace(result, detail=f"{result.detail}\n{error}")
                for case, result in results.items()
            }
        return results
