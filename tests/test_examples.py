"""The examples: every client greets every server, and each README shows the current files."""

import re
from pathlib import Path

import pytest

from blocks import blocks
from projects import VERSIONS, call, prepare
from running import make_stale
from samehost_interop.build import Builds
from samehost_interop.child_process import ChildProcess
from samehost_interop.deadlines import Deadlines
from samehost_interop.peers import load_peers
from samehost_interop.socket_suite.neighbours import reading_authorities

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PEERS = load_peers(EXAMPLES / "examples.toml")
LANGUAGES = sorted(file.parent.name for file in EXAMPLES.glob("*/README.md"))
LINES = 40
"""The maximum length of an example, to keep it simple."""

SHOWN = re.compile(r"^\[`(?P<file>[^`]+)`\]\((?P=file)\)[^\n]*\n\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
"""A file in a README: a link to it, and its text in a block."""


@pytest.fixture(scope="session")
def builds(testrun_uid: str) -> Builds:
    """Builds each example once for all workers of the test run."""
    return Builds(ROOT / "build" / "examples", testrun_uid, Deadlines.build)


@pytest.mark.timeout(2 * Deadlines.build, func_only=True)
@pytest.mark.parametrize("server", PEERS)
def test_every_client_greets_the_server(server: str, path: Path, builds: Builds, subtests: pytest.Subtests) -> None:
    prepare(builds, PEERS[server])
    make_stale(path)
    with ChildProcess([*PEERS[server].serve, str(path)], EXAMPLES) as process:
        output = process.read_line(Deadlines.ready)
        assert output == f"listening on {path}\n", process.explain(f"{server} printed {output!r}")
        for client in starting_with(server):
            with subtests.test(f"{client}->{server}"):
                prepare(builds, PEERS[client])
                expected, came = f"Hello, {client}!\n", call(PEERS[client], path)
                if came != expected:
                    pytest.fail(f"expected {expected!r}, got:\n{came}", pytrace=False)


@pytest.mark.timeout(Deadlines.build, func_only=True)
@pytest.mark.parametrize("client", PEERS)
def test_the_authority_of_a_client_is_localhost(client: str, path: Path, builds: Builds) -> None:
    prepare(builds, PEERS[client])
    with reading_authorities(path) as authorities:
        output = call(PEERS[client], path)
    assert authorities == {"localhost"}, output


def starting_with(server: str) -> list[str]:
    """Returns all names, starting with this one, so that two workers do not build the same example at the same time."""
    names = list(PEERS)
    return names[names.index(server) :] + names[: names.index(server)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_readme_shows_the_current_server_and_client(language: str) -> None:
    example = EXAMPLES / language
    shown = {each["file"]: each["text"] for each in SHOWN.finditer((example / "README.md").read_text("utf-8"))}
    assert shown == {file: (example / file).read_text("utf-8") for file in shown}
    assert len(shown) >= 2, "the README shows no server and client"
    others = [block.text for block in blocks(example / "README.md") if block.language != "console"]
    assert others == list(shown.values()), "the README has a block that is not a file"
    assert {file: text.count("\n") for file, text in shown.items() if text.count("\n") > LINES} == {}


def test_each_language_has_a_row_in_the_table() -> None:
    linked = re.findall(r"^\| \[[^]]+\]\(([\w-]+)\)", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(linked) == LANGUAGES


@pytest.mark.parametrize("language", VERSIONS)
def test_an_example_locks_the_versions_of_the_peer(language: str) -> None:
    versions, known = (VERSIONS[language](ROOT / top / language) for top in ("examples", "interop"))
    assert versions, "no version found"
    assert versions <= known, f"only in the example: {sorted(versions - known)}"
