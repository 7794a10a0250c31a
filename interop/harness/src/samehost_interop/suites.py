"""The suites of the matrix: gRPC's official cases of every pair, the socket's, and gRPC's own client images."""

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
from samehost_interop.messages import load_messages
from samehost_interop.official.containers import Engine, NotAvailableError
from samehost_interop.official.rows import OfficialClient
from samehost_interop.official.runner import OfficialRunner
from samehost_interop.peers import Peer
from samehost_interop.report import Implementation
from samehost_interop.runner import Runner
from samehost_interop.socket_suite.runner import SocketRunner
from samehost_interop.turns import Turns


class CellRunner(Protocol):
    """What answers for the cells of a suite."""

    def result(self, cell: Cell) -> CaseResult:
        """How the cell went."""

    def alone(self, cell: Cell) -> CaseResult:
        """How the cell goes once more, with a server and a client that nothing else uses."""

    def ready(self, cell: Cell) -> Sequence[Mapping[str, str]]:
        """What those who took part in the cell said of themselves."""

    def stop(self) -> None:
        """Stops the server that runs, if one does."""

    def abandon(self) -> None:
        """Stops what runs, whatever comes of it."""


@dataclass(frozen=True)
class Run:
    """One run of a suite: what its runner is made from."""

    identity: str
    cells: Sequence[Cell]
    root: Path
    deadlines: Deadlines
    repeats: int

    @property
    def builds(self) -> Builds:
        """What makes a peer ready to run."""
        return Builds(_shared_folder(self.root), self.identity, self.deadlines.build)

    @property
    def turns(self) -> Turns:
        """What lets one of the run's workers be alone."""
        return Turns(_shared_folder(self.root))


def _shared_folder(root: Path) -> Path:
    """Where the workers of a run keep what they share."""
    return root / "build" / "interop"


@dataclass(frozen=True)
class Suite(ABC):
    """A suite of the peers; its name is that of its report too."""

    name: ClassVar[str]
    unit: ClassVar[Literal["server", "pair", "cell"]]
    """What a worker takes as a whole: all cells of a server, which is then started once, all of a pair, or one cell."""

    peers: Mapping[str, Peer]

    @property
    @abstractmethod
    def cases(self) -> Sequence[str]:
        """All cases in the report's order."""

    @abstractmethod
    def cells(self) -> list[Cell]:
        """All cells."""

    @abstractmethod
    def runner(self, run: Run) -> CellRunner:
        """What runs the cells of a run."""

    def clean(self, run: str) -> None:  # noqa: B027 - most suites leave nothing
        """Removes what the workers of a run have left, when they have gone."""

    @property
    def clients(self) -> Sequence[str]:
        """The names of the clients."""
        return list(self.peers)

    def servers(self, globs: Sequence[str]) -> Sequence[str]:
        """The names of the servers that match one of the globs; all without any."""
        return select("--server", globs, list(self.peers))

    def implementations(self) -> list[Implementation]:
        """Who takes part, in the report's order."""
        return [Implementation(peer.name, peer.language, peer.library) for peer in self.peers.values()]

    def select(
        self, client: Sequence[str], server: Sequence[str], case: Sequence[str], *, with_references: bool
    ) -> list[Cell]:
        """The cells whose parts match one of the globs of each option that is given.

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
        """The names of those that are the other side where one peer alone is judged."""
        return [peer.name for peer in self.peers.values() if peer.reference]


class InteropSuite(Suite):
    """gRPC's official cases, every client with every server."""

    name = "interop"
    unit = "server"
    cases = CASES

    def cells(self) -> list[Cell]:
        """All cells."""
        return all_cells(self.clients, list(self.peers), CASES)

    def runner(self, run: Run) -> Runner:
        """What runs the cells of a run."""
        return Runner(self.peers, run.cells, run.builds, run.deadlines)


@dataclass(frozen=True)
class SocketSuite(Suite):
    """The socket cases: servers with one client and the reference successors, clients with the reference servers."""

    messages: Path
    """The table of the errors that every language reports in the same words."""
    name = "socket"
    unit = "cell"
    cases = socket_suite.CASES

    def cells(self) -> list[Cell]:
        """All cells."""
        can_be_taken_over = [peer.name for peer in self.peers.values() if peer.takeover]
        # A server's case asks no more of its client than to greet, so one will do.
        return [
            *all_cells(self.references[:1], list(self.peers), socket_suite.SERVER_CASES),
            *all_cells(self.references, can_be_taken_over, socket_suite.TAKEOVER_CASES),
            *all_cells(self.clients, self.references, socket_suite.CLIENT_CASES),
        ]

    def runner(self, run: Run) -> SocketRunner:
        """What runs the cells of a run."""
        return SocketRunner(self.peers, run.builds, run.deadlines, run.repeats, load_messages(self.messages))


@dataclass(frozen=True)
class OfficialSuite(Suite):
    """gRPC's own client images with our servers in containers: the reference servers, or those that are named."""

    name = "official"
    unit = "pair"
    official: Mapping[str, OfficialClient]

    @property
    def cases(self) -> Sequence[str]:
        """All cases, those that only some client knows last."""
        return tuple(dict.fromkeys((*CASES, *(case for one in self.official.values() for case in one.cases))))

    def cells(self) -> list[Cell]:
        """All cells, those that a client does not know too."""
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
        """The names that match one of the globs, `all` being all of them; the reference servers without any."""
        return (
            self.references
            if not globs
            else select("--server", [each.replace("all", "*") for each in globs], list(self.peers))
        )

    def implementations(self) -> list[Implementation]:
        """Who takes part, in the report's order."""
        clients = [Implementation(one.name, one.language, str(one.image)) for one in self.official.values()]
        return [*super().implementations(), *clients]

    def clean(self, run: str) -> None:
        """Removes containers and volumes that bear the run's label."""
        with suppress(NotAvailableError):
            Engine(run).remove_all()

    def runner(self, run: Run) -> OfficialRunner:
        """What runs the cells of a run."""
        return OfficialRunner(self.official, self.peers, run.root, run.identity, run.deadlines)
