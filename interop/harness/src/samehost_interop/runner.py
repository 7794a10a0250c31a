"""Runs the matrix a pair at a time: one server at a time, each client once for all of its cases."""

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
    """Answers for one cell at a time, and does the work of a server or a pair when its first cell is asked for.

    Args:
        peers: all peers by name.
        cells: the cells that will be asked for; cells of one server must be asked for one after the other.
        builds: what makes a peer ready to run.
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
        """The running server of that name, started if it isn't; another that runs is stopped.

        Raises:
            PeerError: it can't be built or started; every later call says the same.
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
        """How the cell went.

        Raises:
            PeerError: the client or server can't be built, or the server can't be started or has died.
        """
        self._builds.prepare(self._peers[cell.client])
        server = self.server(cell.server)
        if cell.client not in self._results:
            server.check()
            self._results[cell.client] = self._run_pair(cell.client, server)
        return self._results[cell.client][cell.case]

    def alone(self, cell: Cell) -> CaseResult:
        """How the cell goes once more, with a server and a client of its own.

        Raises:
            PeerError: the client or server can't be built, or the server can't be started or stopped.
        """
        client, server = self._peers[cell.client], self._peers[cell.server]
        for peer in (client, server):
            self._builds.prepare(peer)
        with serving(server, self._deadlines) as running:
            return run_cases(client, running.socket, [cell.case], self._deadlines)[cell.case]

    def ready(self, cell: Cell) -> list[dict[str, str]]:
        """What the cell's server said of itself."""
        server = self.server(cell.server)
        return [{"name": server.name, "implementation": server.implementation, "version": server.version}]

    def stop(self) -> None:
        """Stops the server that runs, if one does.

        Raises:
            PeerError: it did not stop as PROTOCOL.md says; it is killed all the same.
        """
        self._name = ""
        self._server = None
        self._results = {}
        self._stack.close()

    def abandon(self) -> None:
        """Stops the server that runs, whatever comes of it: for a run that was broken off."""
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
        except PeerError as error:  # then the cases that failed did so because of it, or at least should show it
            return {
                case: result if result.passed else replace(result, detail=f"{result.detail}\n{error}")
                for case, result in results.items()
            }
        return results
