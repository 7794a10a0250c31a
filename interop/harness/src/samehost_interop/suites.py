"""Defines the suites of the matrix: gRPC's official cases, the socket cases, and gRPC's own client images."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from samehost_interop import socket_suite
from samehost_interop.build import Builds
from samehost_interop.cases import CASES
from samehost_interop.cells import Cell, all_cells, select
from samehost_interop.client import CaseResult
from samehost_interop.deadlines import Deadlines
from samehost_interop.official.containers import Engine, NotAvailableError
from samehost_interop.official.rows import OfficialClient
from samehost_interop.official.runner import OfficialRunner
from samehost_interop.peers import Peer
from samehost_interop.report import Implementation
from samehost_interop.runner import Runner
from samehost_interop.socket_suite.runner import SocketRunner
from samehost_interop.turns import Turns


class CellRunner(Protocol):
    """The runner of a suite's cells."""

    def result(self, cell: Cell) -> CaseResult:
        """Return the result of a cell."""

    def alone(self, cell: Cell) -> CaseResult:
        """Run a cell again, with a server and a client of its own."""

    def ready(self, cell: Cell) -> Sequence[Mapping[str, str]]:
        """Return name and version of each implementation that took part in a cell."""

    def stop(self) -> None:
        """Stop the running server, if there is one."""

    def abandon(self) -> None:
        """Stop everything, and ignore errors."""


@dataclass(frozen=True)
class Run:
    """One run of a suite, with everything that its runner needs."""

    identity: str
    cells: Sequence[Cell]
    root: Path
    deadlines: Deadlines
    repeats: int

    @property
    def builds(self) -> Builds:
        """The builds of this run."""
        return Builds(_shared_folder(self.root), self.identity, self.deadlines.build)

    @property
    def turns(self) -> Turns:
        """The locks that let one worker of this run be alone."""
        return Turns(_shared_folder(self.root))


def _shared_folder(root: Path) -> Path:
    """Return the folder that the workers of a run share."""
    return root / "build" / "interop"


@dataclass(frozen=True)
class Suite(ABC):
    """A suite of cells. Its name is also the name of its report."""

    name: ClassVar[str]
    unit: ClassVar[Literal["server", "pair", "cell"]]
    """The cells that run on the same worker: all cells of a server, which then starts once, all of a pair, or one."""

    peers: Mapping[str, Peer]

    @property
    @abstractmethod
    def cases(self) -> Sequence[str]:
        """All cases in the order of the report."""

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Return all cells."""

    @abstractmethod
    def runner(self, run: Run) -> CellRunner:
        """Create the runner of a run."""

    def clean(self, run: str) -> None:  # noqa: B027 - most suites leave nothing
        """Clean up after the workers of a run have ended."""

    @property
    def clients(self) -> Sequence[str]:
        """The names of the clients."""
        return list(self.peers)

    def servers(self, globs: Sequence[str]) -> Sequence[str]:
        """Return the names of the servers that match one of the globs, or all without a glob."""
        return select("--server", globs, list(self.peers))

    def implementations(self) -> list[Implementation]:
        """Return the implementations in the order of the report."""
        return [Implementation(peer.name, peer.language, peer.library) for peer in self.peers.values()]

    def select(
        self, client: Sequence[str], server: Sequence[str], case: Sequence[str], *, with_references: bool
    ) -> list[Cell]:
        """Return the cells that match the globs. An option without globs matches everything.

        Args:
            client: globs of clients.
            server: globs of servers.
            case: globs of cases.
            with_references: only cells in which the client or the server is a reference peer.

        Raises:
            ConfigurationError: a glob matches nothing.
        """
        clients, servers = select("--client", client, self.clients), self.servers(server)
        cases = select("--case", case, self.cases)
        return [
            cell
            for cell in self.cells()
            if cell.client in clients and cell.server in servers and cell.case in cases
            if not with_references or not {cell.client, cell.server}.isdisjoint(self.references)
        ]

    @property
    def references(self) -> list[str]:
        """The names of the reference peers, the other side when one peer is tested alone."""
        return [peer.name for peer in self.peers.values() if peer.reference]


class InteropSuite(Suite):
    """gRPC's official cases, for every client with every server."""

    name = "interop"
    unit = "server"
    cases = CASES

    def cells(self) -> list[Cell]:
        """Return all cells."""
        return all_cells(self.clients, list(self.peers), CASES)

    def runner(self, run: Run) -> Runner:
        """Create the runner of a run."""
        return Runner(self.peers, run.cells, run.builds, run.deadlines)


@dataclass(frozen=True)
class SocketSuite(Suite):
    """The socket cases. Each server runs with one client. Takeovers and clients run with each reference server."""

    messages: Mapping[str, str]
    """The errors that every language reports in the same words, by name."""
    name = "socket"
    unit = "cell"
    cases = socket_suite.CASES

    def cells(self) -> list[Cell]:
        """Return all cells."""
        can_be_taken_over = [peer.name for peer in self.peers.values() if peer.takeover]
        # One client is enough for the server cases, because it only greets.
        return [
            *all_cells(self.references[:1], list(self.peers), socket_suite.SERVER_CASES),
            *all_cells(self.references, can_be_taken_over, socket_suite.TAKEOVER_CASES),
            *all_cells(self.references[:1], can_be_taken_over, socket_suite.HARNESS_TAKEOVER_CASES),
            *all_cells(self.clients, self.references, socket_suite.CLIENT_CASES),
        ]

    def runner(self, run: Run) -> SocketRunner:
        """Create the runner of a run."""
        return SocketRunner(self.peers, run.builds, run.deadlines, run.repeats, self.messages)


@dataclass(frozen=True)
class OfficialSuite(Suite):
    """gRPC's own client images with our servers in containers: the reference servers, or the selected ones."""

    name = "official"
    unit = "pair"
    official: Mapping[str, OfficialClient]

    @property
    def cases(self) -> Sequence[str]:
        """All cases. Those that only some clients implement come last."""
        return tuple(dict.fromkeys((*CASES, *(case for one in self.official.values() for case in one.cases))))

    def cells(self) -> list[Cell]:
        """Return all cells, including the cases that a client does not implement."""
        return [
            Cell(one.name, server, case)
            for one in self.official.values()
            for server, peer in self.peers.items()
            for case in (*one.cases, *one.unknown)
            if peer.tls or not one.tls
        ]

    @property
    def clients(self) -> Sequence[str]:
        """The names of the clients."""
        return list(self.official)

    def servers(self, globs: Sequence[str]) -> Sequence[str]:
        """Return the servers that match one of the globs, or the reference servers without a glob.

        `all` matches every server.
        """
        return (
            self.references
            if not globs
            else select("--server", [each.replace("all", "*") for each in globs], list(self.peers))
        )

    def implementations(self) -> list[Implementation]:
        """Return the implementations in the order of the report."""
        clients = [Implementation(one.name, one.language, str(one.image)) for one in self.official.values()]
        return [*super().implementations(), *clients]

    def clean(self, run: str) -> None:
        """Remove the containers and volumes with the label of the run."""
        with suppress(NotAvailableError):
            Engine(run).remove_all()

    def runner(self, run: Run) -> OfficialRunner:
        """Create the runner of a run."""
        return OfficialRunner(self.official, self.peers, run.root, run.identity, run.deadlines)
