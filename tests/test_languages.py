"""The libraries in languages/: with a copy of each, the samples of its README compile, serve and call.

They do this in a project outside of the repository.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from blocks import ROOT, blocks, has_lines, with_path
from projects import VERSIONS, call, prepare
from running import WITHIN, eventually, make_stale
from samehost_client import ConnectError, connect
from samehost_interop.build import Builds
from samehost_interop.child_process import ChildProcess
from samehost_interop.deadlines import Deadlines
from samehost_interop.peers import Peer, load_peers

LIBRARIES = ROOT / "languages"
PROJECTS = Path(__file__).parent / "languages"
PEERS = load_peers(PROJECTS / "languages.toml")
LANGUAGES = sorted({name.partition("-")[0] for name in PEERS})
BUILT = shutil.ignore_patterns("bin", "build", "dist", "node_modules", "obj", "target")
"""The results of builds in a library, which a copy does not get."""

AT_ONCE = 1.0
"""How long a program may take to end after a second signal, in seconds. With one signal, the connection of the test
holds servers in C++ and Ruby for 1.3 s, and its call the others for 5 s."""


@pytest.mark.timeout(Deadlines.build, func_only=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_samples_of_the_readme_serve_and_call(language: str, path: Path, tmp_path: Path, testrun_uid: str) -> None:
    pairs, samples = copy(language, tmp_path / "project")
    prepare(Builds(tmp_path / "format", testrun_uid, Deadlines.build), replace(pairs[0], build=pairs[0].lint))
    for sample in samples:
        sample.write_text(with_path(sample.read_text("utf-8"), path))
    builds = Builds(tmp_path / "builds", testrun_uid, Deadlines.build)
    for pair in pairs:
        prepare(builds, pair)
    make_stale(path)
    for pair in pairs:
        with serving(pair, path) as (process, channel):
            assert echo(channel)(iter([StringValue(value="Ada")]), timeout=WITHIN).value == "Ada"
            assert {each.name: call(each, path) for each in pairs} == {each.name: "Ada\n" for each in pairs}
            process.terminate()
            assert process.wait(Deadlines.stop) == 0, process.explain("it did not drain")
        assert not path.exists()
        with serving(pair, path) as (process, channel), endless_call(channel):
            process.terminate()
            eventually(lambda: not path.exists(), "the server removes its path")
            process.terminate()
            try:
                process.wait(AT_ONCE)
            except TimeoutError:
                pytest.fail(process.explain(f"{pair.name} still ran {AT_ONCE:g} s after a second signal"))


@contextmanager
def serving(server: Peer, path: Path) -> Iterator[tuple[ChildProcess, grpc.Channel]]:
    """Starts a server and connects to it."""
    with ChildProcess(server.serve, server.folder) as process:
        try:
            with connect(path, wait=Deadlines.ready, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                yield process, channel
        except ConnectError as error:
            pytest.fail(process.explain(str(error)))


def echo(channel: grpc.Channel) -> Any:
    """Returns the method Echo as a stream of requests. On the wire, its messages look like a StringValue."""
    return channel.stream_unary(
        "/echo.v1.EchoService/Echo",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )


@contextmanager
def endless_call(channel: grpc.Channel) -> Iterator[None]:
    """Makes a call whose request is not complete, so that it is in progress."""
    end = threading.Event()

    def nothing() -> Iterator[StringValue]:
        end.wait()
        yield from ()

    call = echo(channel).future(nothing())
    try:
        # The server has read the start of the first call when it answers a later one of the same connection.
        echo(channel)(iter([StringValue(value="Ada")]), timeout=WITHIN)
        yield
    finally:
        end.set()
        call.cancel()


def copy(language: str, folder: Path) -> tuple[list[Peer], list[Path]]:
    """Creates a project as a user does who copies the library and the samples of its README.

    Returns the pairs of a server and a client in the project, and the files of the samples.
    """
    shutil.copytree(PROJECTS / language, folder, symlinks=True)  # a build folder may be a link
    shutil.copytree(LIBRARIES / language, folder / "samehost", ignore=BUILT)
    shutil.copy(PROJECTS / "echo.proto", folder)
    commands, samples = [], []
    for block in blocks(LIBRARIES / language / "README.md"):
        if block.language == "console":
            commands += block.commands()
        elif block.title:
            samples.append(folder / block.title)
            samples[-1].parent.mkdir(parents=True, exist_ok=True)
            samples[-1].write_text(block.text)
    install = ("sh", "-c", " && ".join(commands))
    return [
        replace(peer, folder=folder, build=tuple(install if words == ("{install}",) else words for words in peer.build))
        for name, peer in PEERS.items()
        if name.partition("-")[0] == language
    ], samples


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readme_has_only_files_commands_and_lines_of_the_project(language: str) -> None:
    files = [file.read_text("utf-8") for file in (PROJECTS / language).rglob("*") if file.is_file()]
    for block in blocks(LIBRARIES / language / "README.md"):
        if block.language == "console":
            assert ("{install}",) in PEERS[language].build, "languages.toml does not run the commands of the README"
        elif not block.title:
            assert any(has_lines(file, block.text) for file in files), f"no file of the project has\n{block.text}"


def test_each_library_is_tested() -> None:
    assert {folder.name for folder in LIBRARIES.iterdir()} == set(LANGUAGES)


def test_the_rust_library_and_the_native_engine_filter_the_authority_alike() -> None:
    # A user copies the library, and pip builds the engine alone. So each has the file.
    name = "src/authority.rs"
    assert (LIBRARIES / "rust" / name).read_bytes() == (ROOT / "python-native" / name).read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_library_has_the_licence_of_the_repository(language: str) -> None:
    assert (LIBRARIES / language / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("language", [language for language in VERSIONS if language in LANGUAGES])
def test_a_library_locks_the_versions_of_the_peer(language: str) -> None:
    versions, known = (VERSIONS[language](ROOT / top / language) for top in ("languages", "interop"))
    assert versions <= known, f"only in the library: {sorted(versions - known)}"
