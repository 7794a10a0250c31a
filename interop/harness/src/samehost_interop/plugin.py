"""The pytest plugin of the matrix: its options, one test per cell, the scheduling on workers, and the report.

`python -m samehost_interop` loads it with `-p samehost_interop.plugin`.
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
from samehost_interop.messages import load_messages
from samehost_interop.official.rows import load_official
from samehost_interop.peers import load_peers
from samehost_interop.reporting import SuiteReporter
from samehost_interop.suites import CellRunner, InteropSuite, OfficialSuite, Run, SocketSuite, Suite
from samehost_interop.turns import Turns


@dataclass(frozen=True)
class Matrix:
    """The cells to run, from the files and the options."""

    suite: Suite
    known_failing: list[KnownFailing]
    cells: list[Cell]


_MATRIX = pytest.StashKey[Matrix]()
_RUNNER = pytest.StashKey[CellRunner]()
_TURNS = pytest.StashKey[Turns]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that select cells, files and deadlines."""
    group = parser.getgroup("interop", "interop matrix")
    group.addoption(
        "--suite",
        default="interop",
        choices=[suite.name for suite in (InteropSuite, SocketSuite, OfficialSuite)],
        help="interop: gRPC's official cases; socket: the socket cases; official: gRPC's own client images [interop]",
    )
    for name, what in (("client", "clients"), ("server", "servers"), ("case", "cases")):
        group.addoption(
            f"--{name}",
            action="append",
            default=[],
            metavar="GLOB",
            help=f"run only these {what}; globs, separated by commas or in several options",
        )
    group.addoption(
        "--with-references",
        action="store_true",
        help="run only pairs whose client or server is a reference peer of peers.toml",
    )
    group.addoption("--interop-folder", default="interop", help="folder of peers.toml, relative to the root [interop]")
    group.addoption(
        "--report-dir", default="build/reports", help="folder of the reports, relative to the root [build/reports]"
    )
    group.addoption(
        "--tags",
        default="first",
        choices=["first", "all"],
        help="the releases of gRPC's own client images to run [first]",
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
    """Read the files, and register the reporter in the process that receives every result."""
    try:
        matrix = config.stash[_MATRIX] = _load_matrix(config)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    # pytest-xdist passes the option on to its workers, so that all processes of a run have the same id.
    workerinput = getattr(config, "workerinput", {})
    config.option.testrunuid = (
        workerinput.get("testrunuid") or getattr(config.option, "testrunuid", None) or uuid.uuid4().hex
    )
    config.addinivalue_line("markers", "timeout: of pytest-timeout, if it is installed")
    # pytest's -k does not accept ">". It gets another spelling, which is a keyword of every cell.
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
    needs_messages = config.getoption("suite") == SocketSuite.name
    messages = load_messages(folder / "messages.toml") if needs_messages else {}
    suites: list[Suite] = [InteropSuite(peers), SocketSuite(peers, messages), OfficialSuite(peers, official)]
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
    """Create one test for every cell."""
    if "cell" in metafunc.fixturenames:
        cells = metafunc.config.stash[_MATRIX].cells
        metafunc.parametrize("cell", cells, ids=[str(cell) for cell in cells])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Add the keyword for -k, the properties for the report, and the mark of a known failure."""
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
    """Group the cells by server and then by client, whatever order other plugins chose.

    Only one server runs at a time, and a server with TLS has a certificate for its client.
    """
    order = list(dict.fromkeys(_ends(item) for item in items))
    servers = list(dict.fromkeys(server for server, _ in order))
    items.sort(key=lambda item: (servers.index(_ends(item)[0]), order.index(_ends(item))))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Create the runner for the selected cells."""
    config = session.config
    matrix = config.stash[_MATRIX]
    selected = {cell for item in session.items if (cell := _cell(item))}
    deadlines = Deadlines(**{field.name: config.getoption(f"{field.name}_seconds") for field in fields(Deadlines)})
    cells = [cell for cell in matrix.cells if cell in selected]
    run = Run(config.option.testrunuid, cells, config.rootpath, deadlines, config.getoption("repeats"))
    config.stash[_RUNNER] = matrix.suite.runner(run)
    config.stash[_TURNS] = run.turns


@pytest.hookimpl(trylast=True)  # after pytest's own teardown, without which the next test could not start
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop a server after its last cell, so that this cell fails if the server does not stop correctly."""
    if _cell(item) and _ends(item)[0] != _ends(nextitem)[0]:
        item.config.stash[_RUNNER].stop()


@pytest.hookimpl(trylast=True)  # after pytest-xdist has ended its workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server of an interrupted run, and clean up after workers that were killed."""
    config = session.config
    try:
        if runner := config.stash.get(_RUNNER, None):
            runner.abandon()
    finally:
        if not hasattr(config, "workerinput"):
            config.stash[_MATRIX].suite.clean(config.option.testrunuid)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> CellRunner:
    """The runner of the cells."""
    return request.config.stash[_RUNNER]


@pytest.fixture
def turns(request: pytest.FixtureRequest) -> Turns:
    """The locks that let one worker run alone."""
    return request.config.stash[_TURNS]


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped, so its class is Any
    """Give all cells of one unit of the suite to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        client, arrow, cell = nodeid.partition("->")
        server = cell.partition(":")[0]
        unit = self.config.stash[_MATRIX].suite.unit if arrow else "cell"
        return {"server": server, "pair": client + arrow + server, "cell": nodeid}[unit]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling:
    """Return the scheduler for pytest-xdist."""
    return UnitScheduling(config, log)


def _cell(item: pytest.Item | None) -> Cell | None:
    """Return the cell of a test, or None for another test."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    cell = item.callspec.params.get("cell")
    return cell if isinstance(cell, Cell) else None


def _ends(item: pytest.Item | None) -> tuple[str, str]:
    """Return the server and the client of a cell."""
    cell = _cell(item)
    return (cell.server, cell.client) if cell else ("", "")
