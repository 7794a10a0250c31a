"""The pytest plugin of the matrix: options, one test per cell, the workers that run them, the report.

Load it with `-p samehost_interop.plugin`; `python -m samehost_interop` does.
"""

import uuid
from dataclasses import dataclass, fields
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # pytest-xdist has no py.typed

from samehost_interop.cells import Cell
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import CaseError, ConfigurationError
from samehost_interop.known_failing import KnownFailing, load_known_failing
from samehost_interop.official.rows import load_official
from samehost_interop.peers import load_peers
from samehost_interop.reporting import SuiteReporter
from samehost_interop.suites import CellRunner, InteropSuite, OfficialSuite, Run, SocketSuite, Suite
from samehost_interop.turns import Turns


@dataclass(frozen=True)
class Matrix:
    """What is to be run, out of the files and the options."""

    suite: Suite
    known_failing: list[KnownFailing]
    cells: list[Cell]


_MATRIX = pytest.StashKey[Matrix]()
_RUNNER = pytest.StashKey[CellRunner]()
_TURNS = pytest.StashKey[Turns]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options: which cells, where the files are, how long to wait."""
    group = parser.getgroup("interop", "interop matrix")
    group.addoption(
        "--suite",
        default="interop",
        choices=[suite.name for suite in (InteropSuite, SocketSuite, OfficialSuite)],
        help="gRPC's official cases, those of the socket, or gRPC's own client images [interop]",
    )
    for name, what in (("client", "clients"), ("server", "servers"), ("case", "cases")):
        group.addoption(
            f"--{name}",
            action="append",
            default=[],
            metavar="GLOB",
            help=f"run only these {what}; globs, several with commas or by repeating the option",
        )
    group.addoption(
        "--with-references",
        action="store_true",
        help="run only the pairs in which the client or the server is a reference peer of peers.toml",
    )
    group.addoption("--interop-folder", default="interop", help="where peers.toml is [interop, in the root]")
    group.addoption("--report-dir", default="build/reports", help="where reports go [build/reports, in the root]")
    group.addoption(
        "--tags",
        default="first",
        choices=["first", "all"],
        help="which releases of gRPC's own client images [first]",
    )
    group.addoption(
        "--repeats",
        type=int,
        default=5,
        metavar="N",
        help="how often socket/ready_means_ready starts its server [5]",
    )
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
    # pytest-xdist takes the option as it finds it, and hands it to its workers, so that all of a run have the same.
    workerinput = getattr(config, "workerinput", {})
    config.option.testrunuid = (
        workerinput.get("testrunuid") or getattr(config.option, "testrunuid", None) or uuid.uuid4().hex
    )
    config.addinivalue_line("markers", "timeout: of pytest-timeout, where that is installed")
    # pytest's -k takes no ">", so it is asked for another spelling, which every cell has among its keywords.
    config.option.keyword = _keyword(config.option.keyword)
    if not hasattr(config, "workerinput"):
        suite = matrix.suite
        folder = config.rootpath / config.getoption("report_dir")
        config.pluginmanager.register(SuiteReporter(suite.name, folder, suite.implementations(), suite.cases))


def _load_matrix(config: pytest.Config) -> Matrix:
    folder = config.rootpath / config.getoption("interop_folder")
    peers = load_peers(folder / "peers.toml")
    official_file = folder / "official.toml"
    all_tags = config.getoption("tags") == "all"
    official = load_official(official_file, all_tags=all_tags) if official_file.exists() else {}
    suites: list[Suite] = [
        InteropSuite(peers),
        SocketSuite(peers, folder / "messages.toml"),
        OfficialSuite(peers, official),
    ]
    known_failing = load_known_failing(
        folder / "known_failing.toml", [cell for suite in suites for cell in suite.cells()]
    )
    (suite,) = (suite for suite in suites if suite.name == config.getoption("suite"))
    cells = suite.select(
        *(config.getoption(option) for option in ("client", "server", "case")),
        with_references=config.getoption("with_references"),
    )
    return Matrix(suite, known_failing, cells)


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
            item.add_marker(pytest.mark.xfail(raises=CaseError, reason=known.reason, strict=not known.flaky))
            item.user_properties.append(("known_failing", {"reason": known.reason, "link": known.link}))
            return


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Brings the cells of a server together, and its clients', whatever order others have given them.

    One server runs at a time, and one that speaks TLS has the certificate that its client wants.
    """
    order = list(dict.fromkeys(_ends(item) for item in items))
    servers = list(dict.fromkeys(server for server, _ in order))
    items.sort(key=lambda item: (servers.index(_ends(item)[0]), order.index(_ends(item))))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Makes the runner, now that it is known which cells are asked for."""
    config = session.config
    matrix = config.stash[_MATRIX]
    selected = {cell for item in session.items if (cell := _cell(item))}
    deadlines = Deadlines(**{field.name: config.getoption(f"{field.name}_seconds") for field in fields(Deadlines)})
    cells = [cell for cell in matrix.cells if cell in selected]
    run = Run(config.option.testrunuid, cells, config.rootpath, deadlines, config.getoption("repeats"))
    config.stash[_RUNNER] = matrix.suite.runner(run)
    config.stash[_TURNS] = run.turns


@pytest.hookimpl(trylast=True)  # pytest's own teardown comes before: without it, the next test could not begin
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops a server after its last cell, so that one that does not stop as it should fails there."""
    if _cell(item) and _ends(item)[0] != _ends(nextitem)[0]:
        item.config.stash[_RUNNER].stop()


@pytest.hookimpl(trylast=True)  # when pytest-xdist has ended its workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stops the server of a run that was broken off, and removes what workers have left that were killed."""
    config = session.config
    try:
        if runner := config.stash.get(_RUNNER, None):
            runner.abandon()
    finally:
        if not hasattr(config, "workerinput"):
            config.stash[_MATRIX].suite.clean(config.option.testrunuid)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> CellRunner:
    """What runs the cells."""
    return request.config.stash[_RUNNER]


@pytest.fixture
def turns(request: pytest.FixtureRequest) -> Turns:
    """What lets one worker be alone."""
    return request.config.stash[_TURNS]


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped, so its class is Any
    """Gives a worker all cells of one of the suite's units."""

    def _split_scope(self, nodeid: str) -> str:
        client, arrow, cell = nodeid.partition("->")
        server = cell.partition(":")[0]
        unit = self.config.stash[_MATRIX].suite.unit if arrow else "cell"
        return {"server": server, "pair": client + arrow + server, "cell": nodeid}[unit]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling:
    """The order of work under pytest-xdist."""
    return UnitScheduling(config, log)


def _cell(item: pytest.Item | None) -> Cell | None:
    """The cell that a test is about; None if it is another test."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    cell = item.callspec.params.get("cell")
    return cell if isinstance(cell, Cell) else None


def _ends(item: pytest.Item | None) -> tuple[str, str]:
    """The server and the client of a cell."""
    cell = _cell(item)
    return (cell.server, cell.client) if cell else ("", "")
