"""Tests of the official suite, with correct and faulty client images."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

pytestmark = pytest.mark.timeout(120, func_only=True)

IMAGE = "python:3.11-slim-bookworm"
CASES = "empty_unary,large_unary"

SERVER = """
import json, signal, socket, sys
path = sys.argv[sys.argv.index("--socket") + 1]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
if "--silent" not in sys.argv:
    ready = {"event": "ready", "address": path, "pid": 1, "implementation": "fake", "version": "1"}
    print(json.dumps(ready), flush=True)
while True:
    connection, _ = listener.accept()
    if connection.recv(1) == b"!":
        sys.exit("killed by a client")
    connection.close()
"""

DIAL = "python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); {act}' {path}"

CLIENTS = {
    "good": "echo {arguments}; " + DIAL.format(act='s.send(b"?")', path="/run/samehost/server.sock"),
    "second-name": "echo {arguments}; " + DIAL.format(act='s.send(b"?")', path="/run/samehost/server.sock:0"),
    "fails": "echo no such luck {arguments}; exit 7",
    "hangs": "echo waiting {arguments}; exec sleep 1000",
    "leaves": "case '{arguments}' in *=empty_unary) touch /tmp/left; sleep 1000; esac; [ ! -e /tmp/left ]",
    "kills": "echo {arguments}; " + DIAL.format(act='s.send(b"!"); s.recv(1)', path="/run/samehost/server.sock"),
}


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        message = f"the Docker engine does not answer: {error}"
        pytest.fail(message) if os.environ.get("SAMEHOST_REQUIRE") == "all" else pytest.skip(message)
    yield client
    client.close()


class Project:
    """A folder with two servers and with client images, each with one behaviour."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = uuid.uuid4().hex
        interop = folder / "interop"
        interop.mkdir()
        (interop / "server.py").write_text(SERVER)
        entry = '["python3", "/server.py"]'
        (interop / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY interop/server.py /\nENTRYPOINT {entry}\n")
        (interop / "known_failing.toml").write_text("")
        row = 'language = "Fake"\nlibrary = "none"\nserve = ["x"]\nclient = ["x"]\nneeds = []\n'
        row += 'dockerfile = "Dockerfile"\n'
        (interop / "peers.toml").write_text(
            f'[sound]\n{row}reference = true\n[silent]\n{row}container = ["--silent"]\n', encoding="utf-8"
        )

    def clients(self, *names: str, image: str = IMAGE, more: str = "") -> None:
        text = ""
        for name in names:
            command = json.dumps(CLIENTS[name])
            text += f'[{name}]\nlanguage = "Fake"\nimages = ["{image}"]\nfolder = "/"\n{more}'
            text += f'command = {command}\nreach = "unix"\n'
        (self.folder / "interop" / "official.toml").write_text(text, encoding="utf-8")

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SAMEHOST_"))}
        options = [
            "--suite=official",
            f"--case={CASES}",
            "--container-seconds=20",
            "--ready-seconds=30",
            f"--testrunuid={self.identity}",
        ]
        with subprocess.Popen(
            [sys.executable, "-m", "samehost_interop", *options, *arguments],
            cwd=self.folder,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str, **environment: str) -> tuple[str, dict[str, Any]]:
        """Run the suite, and return the output and the cells by id."""
        with self.start(*arguments, **environment) as process:
            output, _ = process.communicate(timeout=110)
        report = json.loads((self.folder / "build" / "reports" / "official.json").read_text(encoding="utf-8"))
        return output, {f"{cell['client']}->{cell['server']}:{cell['case']}": cell for cell in report["cells"]}


@pytest.fixture
def project(tmp_path: Path, docker_engine: docker.DockerClient) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    assert leftovers(docker_engine, project) == set(), "containers or volumes are left"


def leftovers(docker_engine: docker.DockerClient, project: Project) -> set[str]:
    labelled: Any = {"label": f"samehost.interop.run={project.identity}"}
    containers = docker_engine.containers.list(all=True, filters=labelled)
    return {str(one.id) for one in (*containers, *docker_engine.volumes.list(filters=labelled))}


def test_each_client_has_its_own_result(project: Project) -> None:
    project.clients("good", "second-name", "fails", "hangs", "kills")
    output, cells = project.run("--container-seconds=5", "-n", "2")
    results = {cell_id: cell["result"] for cell_id, cell in cells.items()}
    assert {cell_id for cell_id, result in results.items() if result == "passed"} == {
        f"official-{client}->sound:{case}" for client in ("good", "second-name") for case in CASES.split(",")
    }, output
    for client, fragment in {
        "fails": "exit code of the client: expected 0, got 7; output:\nno such luck --server_host=unix:///run/samehost/",
        "hangs": "still ran after 5 s; output:\nwaiting --server_host=",
        "kills": "server sound exited during large_unary; output:",
    }.items():
        assert fragment in cells[f"official-{client}->sound:large_unary"]["detail"]
    assert "killed by a client" in cells["official-kills->sound:empty_unary"]["detail"]


def test_a_failed_case_leaves_nothing_to_the_next_one(project: Project) -> None:
    project.clients("leaves")
    # A known failure has no second try, which would use a new server and a new container too.
    (project.folder / "interop" / "known_failing.toml").write_text(
        '[[known_failing]]\ncells = ["*leaves*:empty_unary"]\nreason = "It hangs."\nlink = "https://example.org"\n'
    )
    output, cells = project.run("--container-seconds=2", "-n", "0", "-p", "no:randomly")
    results = {cell["case"]: cell["result"] for cell in cells.values()}
    assert results == {"empty_unary": "known_failing", "large_unary": "passed"}, output


def test_a_server_that_is_never_ready_fails_its_cells(project: Project) -> None:
    project.clients("good")
    _, cells = project.run("--server=silent", "--ready-seconds=2", "-n", "0")
    assert {cell["result"] for cell in cells.values()} == {"failed"}
    assert all("silent was not ready within 2 s" in cell["detail"] for cell in cells.values())


def test_an_image_that_cannot_be_pulled_is_skipped_or_fails(project: Project) -> None:
    project.clients("good", image="localhost:1/no/such:image")
    _, skipped = project.run("-n", "0")
    assert {cell["result"] for cell in skipped.values()} == {"skipped"}
    assert all("not available: localhost:1/no/such:image: " in cell["detail"] for cell in skipped.values())
    _, required = project.run("-n", "0", SAMEHOST_REQUIRE="all")
    assert {cell["result"] for cell in required.values()} == {"failed"}
    project.clients("good", image="localhost:1/no/such:image", more="optional = true\n")
    _, optional = project.run("-n", "0", SAMEHOST_REQUIRE="all")
    assert {cell["result"] for cell in optional.values()} == {"skipped"}


def test_without_docker_the_cells_are_skipped(project: Project) -> None:
    project.clients("good")
    output, cells = project.run("-n", "0", DOCKER_HOST="unix:///no/such/docker.sock")
    assert {cell["result"] for cell in cells.values()} == {"skipped"}
    assert "the Docker engine does not answer" in output


def test_a_case_that_a_client_does_not_implement_is_skipped(project: Project) -> None:
    project.clients("good", more="unknown = { large_unary = 'it is too large' }\n")
    _, cells = project.run("-n", "0")
    assert cells["official-good->sound:empty_unary"]["result"] == "passed"
    assert cells["official-good->sound:large_unary"]["result"] == "skipped"
    detail = cells["official-good->sound:large_unary"]["detail"]
    assert "this client does not know the case: it is too large" in detail


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupted_run_leaves_no_container_and_no_volume(
    project: Project, docker_engine: docker.DockerClient, workers: str
) -> None:
    project.clients("hangs")
    with project.start("-n", workers) as process:
        for event in docker_engine.events(decode=True, filters={"type": "container", "event": "start"}):
            labels = event["Actor"]["Attributes"]
            if labels.get("samehost.interop.run") == project.identity and labels["image"] == IMAGE:
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
