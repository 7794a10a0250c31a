"""The pytest plugin of the matrix: options, one test per cell, one worker per server, the report.

Load it with `-p samehost_interop.plugin`; `python -m samehost_interop` does.
"""

import uuid
from dataclasses import dataclass, fields
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # pytest-xdist has no py.typed

from samehost_interop.build import Builds
from samehost_interop.cases import CASES
from samehost_interop.cells import Cell, all_cells, select
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import CaseError, ConfigurationError
from samehost_interop.known_failing import KnownFailing, load_known_failing
from samehost_interop.peers import Peer, load_peers
from samehost_interop.report import Implementation
from samehost_interop.reporting import SuiteReporter
from samehost_interop.runner import Runner

SUITE = "interop"


@dataclass(frozen=True)
class Matrix:
    """What is to be run, out of the files and the options."""

    peers: dict[str, Peer]
    known_failing: list[KnownFailing]
    cells: list[Cell]


_MATRIX = pytest.StashKey[Matrix]()
_RUNNER = pytest.StashKey[Runner]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options: which cells, where the files are, how long to wait."""
    group = parser.getgroup("interop", "interop matrix")
    for name, what in (("client", "clients"), ("server", "servers"), ("case", "cases")):
        group.addoption(
            f"--{name}",
            action="append",
            default=[],
            metavar="GLOB",
            help=f"run only these {what}; globs, several with commas or by repeating the option",
        )
    group.addoption("--interop-folder", default="interop", help="where peers.toml is [interop, in the root]")
    group.addoption("--report-dir", default="build/reports", help="where reports go [build/reports, in the root]")
    for deadline in fields(Deadlines):
        group.addoption(
            f"--{deadline.name}-seconds",
            type=float,
            default=deadline.default,
            metavar="S",
            help=f"deadline: {deadline.name} [{deadline.default:g}]",
        )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reads the files, and registers the reporter in the process that sees every test."""
    try:
        matrix = config.stash[_MATRIX] = _load_matrix(config)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.addinivalue_line("markers", "timeout: of pytest-timeout, where that is installed")
    # pytest's -k takes no ">", so it is asked for another spelling, which every cell has among its keywords.
    config.option.keyword = _keyword(config.option.keyword)
    if not hasattr(config, "workerinput"):
        implementations = [Implementation(peer.name, peer.language, peer.library) for peer in matrix.peers.values()]
        folder = config.rootpath / config.getoption("report_dir")
        config.pluginmanager.register(SuiteReporter(SUITE, folder, implementations, CASES))


def _load_matrix(config: pytest.Config) -> Matrix:
    folder = config.rootpath / config.getoption("interop_folder")
    peers = load_peers(folder / "peers.toml")
    names = list(peers)
    known_failing = load_known_failing(folder / "known_failing.toml", all_cells(names, names))
    cells = all_cells(
        select("--client", config.getoption("client"), names),
        select("--server", config.getoption("server"), names),
        select("--case", config.getoption("case"), CASES),
    )
    return Matrix(peers, known_failing, cells)


def _keyword(text: str) -> str:
    return text.replace("->", "-:")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of every cell."""
    if "cell" in metafunc.fixturenames:
        cells = metafunc.config.stash[_MATRIX].cells
        metafunc.parametrize("cell", cells, ids=[str(cell) for cell in cells])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives a cell what -k and the report ask for, and the mark of a known failure."""
    cell = _cell(item)
    if cell is None:
        return
    item.extra_keyword_matches.add(_keyword(str(cell)))
    item.user_properties.append(("cell", {"client": cell.client, "server": cell.server, "case": cell.case}))
    for known in item.config.stash[_MATRIX].known_failing:
        if known.covers(cell):
            item.add_marker(pytest.mark.xfail(raises=CaseError, reason=known.reason, strict=True))
            item.user_properties.append(("known_failing", {"reason": known.reason, "link": known.link}))
            return


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Brings the cells of a server together, whatever order others have given them: one server runs at a time."""
    servers = list(dict.fromkeys(_server(item) for item in items))
    items.sort(key=lambda item: servers.index(_server(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Makes the runner, now that it is known which cells are asked for."""
    config = session.config
    matrix = config.stash[_MATRIX]
    selected = {cell for item in session.items if (cell := _cell(item))}
    deadlines = Deadlines(**{field.name: config.getoption(f"{field.name}_seconds") for field in fields(Deadlines)})
    run: str = getattr(config, "workerinput", {}).get("testrunuid", uuid.uuid4().hex)
    builds = Builds(config.rootpath / "build" / SUITE, run, deadlines.build)
    cells = [cell for cell in matrix.cells if cell in selected]
    config.stash[_RUNNER] = Runner(matrix.peers, cells, builds, deadlines)


@pytest.hookimpl(trylast=True)  # pytest's own teardown comes before: without it, the next test could not begin
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops a server after its last cell, so that one that does not stop as it should fails there."""
    if _cell(item) and _server(item) != _server(nextitem):
        item.config.stash[_RUNNER].stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stops the server of a run that was broken off."""
    if runner := session.config.stash.get(_RUNNER, None):
        runner.abandon()


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Runner:
    """What runs the cells."""
    return request.config.stash[_RUNNER]


class ServerScheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped, so its class is Any
    """Gives all cells of a server to one worker, so that the server is started once."""

    def _split_scope(self, nodeid: str) -> str:
        _, arrow, cell = nodeid.partition("->")
        return cell.partition(":")[0] if arrow else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ServerScheduling:
    """The order of work under pytest-xdist."""
    return ServerScheduling(config, log)


def _cell(item: pytest.Item | None) -> Cell | None:
    """The cell that a test is about; None if it is another test."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    cell = item.callspec.params.get("cell")
    return cell if isinstance(cell, Cell) else None


def _server(item: pytest.Item | None) -> str:
    cell = _cell(item)
    return cell.server if cell else ""
