"""Builds and calls the projects of the tests, and reads the versions that a project locks."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from running import required
from samehost_interop.build import Builds
from samehost_interop.child_process import ChildProcess
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import MissingToolchainError
from samehost_interop.peers import Peer


def call(client: Peer, path: Path) -> str:
    """Runs a client and returns its output, or the reason why it failed."""
    with ChildProcess([*client.client, str(path), client.name], client.folder) as process:
        try:
            printed = "".join(iter(lambda: process.read_line(Deadlines.ready), ""))
            code = process.wait(Deadlines.ready)
        except TimeoutError:
            return process.explain(f"still ran after {Deadlines.ready:g} s")
        return printed if code == 0 else process.explain(f"exit code {code} after {printed!r}")


def prepare(builds: Builds, peer: Peer) -> None:
    """Builds an example. If its tools are missing, skips the test, or fails it if the tools are required."""
    try:
        builds.prepare(peer)
    except MissingToolchainError as error:
        pytest.fail(str(error)) if required() else pytest.skip(str(error))


def of_dotnet(folder: Path) -> set[tuple[str, str]]:
    locks = [json.loads(file.read_text("utf-8")) for file in folder.glob("**/packages.lock.json")]
    frameworks = [packages for lock in locks for packages in lock["dependencies"].values()]
    return {
        (name, each["resolved"]) for packages in frameworks for name, each in packages.items() if "resolved" in each
    }


def of_go(folder: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"^\s*(\S+/\S+) (v\S+)", (folder / "go.mod").read_text("utf-8"), re.MULTILINE))


def of_java(folder: Path) -> set[tuple[str, str]]:
    pom = (folder / "pom.xml").read_text("utf-8")
    plugins = re.findall(r"<artifactId>(\S+-plugin)</artifactId>\s*<version>([\d.]+)</version>", pom)
    return {*plugins, *re.findall(r"<([\w.-]+\.version)>(.*?)</", pom)}


def of_node(folder: Path) -> set[tuple[str, str]]:
    """Reads the lock of a folder, or that of its workspace: the library and the peers are in one."""
    lock = next(file for at in (folder, *folder.parents) if (file := at / "package-lock.json").exists())
    packages = json.loads(lock.read_text("utf-8"))["packages"]
    installed = ((name.rpartition("node_modules/"), each) for name, each in packages.items())
    return {(name, each["version"]) for (_, at, name), each in installed if at and "link" not in each}


def of_rust(folder: Path) -> set[tuple[str, str]]:
    packages = tomllib.loads((folder / "Cargo.lock").read_text("utf-8"))["package"]
    return {(each["name"], each["version"]) for each in packages if "source" in each}


VERSIONS = {"dotnet": of_dotnet, "go": of_go, "java": of_java, "node": of_node, "rust": of_rust}
"""Functions that read the versions that a project locks."""
