"""The libraries in languages/: a copy of each compiles, serves and calls in a project outside of the repository."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from projects import VERSIONS, call, prepare
from running import WITHIN, make_stale
from samehost_client import connect
from samehost_interop.build import Builds
from samehost_interop.child_process import ChildProcess
from samehost_interop.deadlines import Deadlines
from samehost_interop.peers import Peer, load_peers

ROOT = Path(__file__).parent.parent
LIBRARIES = ROOT / "languages"
PROJECTS = Path(__file__).parent / "languages"
PEERS = load_peers(PROJECTS / "languages.toml")
BUILT = shutil.ignore_patterns("bin", "build", "dist", "node_modules", "obj", "target")
"""The results of builds in a library, which a copy does not get."""


@pytest.mark.timeout(Deadlines.build, func_only=True)
@pytest.mark.parametrize("language", PEERS)
def test_a_copy_of_the_library_serves_and_calls(language: str, path: Path, tmp_path: Path, testrun_uid: str) -> None:
    project = copy(language, tmp_path / "project")
    prepare(Builds(tmp_path / "builds", testrun_uid, Deadlines.build), project)
    make_stale(path)
    with ChildProcess([*project.serve, str(path)], project.folder) as process:
        output = process.read_line(Deadlines.ready)
        assert output == f"listening on {path}\n", process.explain(f"it printed {output!r}")
        assert call(project, path) == f"{language}\n"
        with connect(f"unix:{path}") as channel:
            # On the wire, the messages of echo.proto look like a StringValue.
            echo = channel.unary_unary(
                "/echo.v1.EchoService/Echo",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=StringValue.FromString,
            )
            assert echo(StringValue(value="Ada"), timeout=WITHIN).value == "Ada"
        process.terminate()
        assert process.wait(Deadlines.stop) == 0, process.explain("it did not drain")
    assert not path.exists()


def copy(language: str, folder: Path) -> Peer:
    """Creates a project as a user does who copies the library."""
    shutil.copytree(PROJECTS / language, folder, symlinks=True)  # a build folder may be a link
    shutil.copytree(LIBRARIES / language, folder / "samehost", ignore=BUILT)
    shutil.copy(PROJECTS / "echo.proto", folder)
    return replace(PEERS[language], folder=folder)


def test_each_library_is_tested() -> None:
    assert {folder.name for folder in LIBRARIES.iterdir()} == set(PEERS)


@pytest.mark.parametrize("language", PEERS)
def test_a_library_has_the_licence_of_the_repository(language: str) -> None:
    assert (LIBRARIES / language / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("language", [language for language in VERSIONS if language in PEERS])
def test_a_library_locks_the_versions_of_the_peer(language: str) -> None:
    versions, known = (VERSIONS[language](ROOT / top / language) for top in ("languages", "interop"))
    assert versions <= known, f"only in the library: {sorted(versions - known)}"
