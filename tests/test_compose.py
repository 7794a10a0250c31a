"""`docker compose up`: two containers that share only a socket."""

import json
import os
import re
import subprocess
import time
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml
from docker.models.containers import Container

from running import WITHIN, eventually, greeter, required
from samehost_interop.report import MOST_FLAKY

ROOT = Path(__file__).parent.parent
SECONDS = 2400.0
"""The timeout for building images. All languages take a quarter of an hour on two busy cores, a minute with a cache."""

GRACE_SECONDS = 5.0
"""The default grace of `samehost-server`."""

pytestmark = pytest.mark.timeout(2 * SECONDS, func_only=True)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.DockerClient]:
    """A Docker engine with Compose."""
    missing = None
    try:
        client = docker.from_env()
        client.ping()
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True, timeout=WITHIN)
    except (docker.errors.DockerException, OSError, subprocess.SubprocessError) as error:
        missing = f"cannot use a Docker engine with Compose: {error}; see docs.docker.com/engine/install"
    if missing and required():
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    yield client
    client.close()


class Project:
    """A Compose project with a unique name, so that it does not collide with another one."""

    def __init__(self, docker_engine: docker.DockerClient) -> None:
        self.name = f"samehost-test-{uuid.uuid4().hex[:8]}"
        self._engine = docker_engine

    def compose(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", "--project-name", self.name, *words],
            cwd=ROOT,
            env={**os.environ, "COMPOSE_ANSI": "never", **environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=SECONDS,
        )

    def container(self, service: str) -> Container:
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        (found,) = self._engine.containers.list(all=True, filters={"label": labels})
        return found


@pytest.fixture
def project(docker_engine: docker.DockerClient) -> Iterator[Project]:
    project = Project(docker_engine)
    yield project
    down = project.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
    assert down.returncode == 0, down.stderr


def test_up_prints_all_four_kinds_of_calls_and_exits_with_0(project: Project) -> None:
    up = project.compose("up", "--build", "--exit-code-from", "client")
    assert up.returncode == 0, up.stdout + up.stderr
    output = [line.partition("| ")[2] for line in up.stdout.splitlines() if line.startswith("client-1")]
    assert [line for line in output if line and not line.startswith(" ")] == [
        *("Greet", "GreetInLanguages", "GreetTogether", "Converse")
    ]
    assert "  < Hello, Ada!" in output
    assert project.container("server").wait()["StatusCode"] == 0


def test_the_containers_share_only_the_socket(project: Project) -> None:
    up = project.compose("up", "--build", "--detach", "--wait", "server")
    assert up.returncode == 0, up.stdout + up.stderr
    assert project.compose("create", "client").returncode == 0
    users = set()
    for service in ("server", "client"):
        attributes = project.container(service).attrs
        host = attributes["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert [mount["Type"] for mount in attributes["Mounts"]] == ["volume"], "only a volume"
        uid, gid = attributes["Config"]["User"].split(":")
        assert uid != "0"
        assert gid == "10000"
        users.add(uid)
    assert len(users) == 2
    paths = ("/run/samehost", "/run/samehost/greeter.sock")
    listing = project.compose("exec", "-T", "server", "stat", "-c", "%A %u %g %n", *paths)
    assert listing.stdout.splitlines() == [
        f"drwxr-x--- 10001 10000 {paths[0]}",
        f"srw-rw---- 10001 10000 {paths[1]}",
    ]


def test_a_restart_loses_no_call_that_waits(project: Project, docker_engine: docker.DockerClient) -> None:
    up = project.compose("up", "--build", "--detach", "--wait", "server")
    assert up.returncode == 0, up.stdout + up.stderr
    ping = [
        "samehost",
        "ping",
        "--socket",
        "/run/samehost/greeter.sock",
        "--wait",
        "--interval",
        "0.002",
        "--timeout",
        "60",
        "--json",
    ]
    started = project.compose("run", "--detach", "--no-deps", "client", *ping)
    assert started.returncode == 0, started.stderr
    client = docker_engine.containers.get(started.stdout.split()[-1])

    def answers_on() -> None:
        before = client.logs().count(b"\n")
        eventually(lambda: client.logs().count(b"\n") > before + 100, "a hundred more answers")

    for _ in range(3):
        answers_on()
        assert project.compose("restart", "server").returncode == 0
    answers_on()
    client.kill("SIGINT")
    assert client.wait(timeout=WITHIN)["StatusCode"] == 0
    summary = json.loads(client.logs().splitlines()[-1])
    assert summary["sent"] == summary["answered"] > 400


CONVERSATION = """
import os, time
from samehost.greeter.v1.greeter_pb2 import ConverseRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub
from samehost_client import connect
path = "/run/samehost/greeter.sock"
def requests():
    yield ConverseRequest(text="Ada here.")
    while os.path.exists(path):
        time.sleep(0.01)
    yield ConverseRequest(text="Goodbye!")
with connect(path, wait=20) as channel:
    for answer in GreeterServiceStub(channel).Converse(requests(), timeout=60):
        print(answer.text, flush=True)
"""


def test_docker_stop_lets_a_call_finish_and_the_server_exits_with_0(
    project: Project, docker_engine: docker.DockerClient, kind: str
) -> None:
    build = project.compose("build", "server", "client")
    assert build.returncode == 0, build.stdout + build.stderr
    command = ["samehost-server", *greeter(kind), "--socket", "/run/samehost/greeter.sock"]
    started = project.compose("run", "--detach", "server", *command)
    assert started.returncode == 0, started.stderr
    server = docker_engine.containers.get(started.stdout.split()[-1])
    started = project.compose("run", "--detach", "--no-deps", "--entrypoint", "python", "client", "-c", CONVERSATION)
    assert started.returncode == 0, started.stderr
    client = docker_engine.containers.get(started.stdout.split()[-1])
    eventually(lambda: b"You said: Ada here." in client.logs(), "the first answer")
    assert json.loads(server.logs(stderr=False))["pid"] == 1
    begun = time.monotonic()
    server.stop(timeout=60)
    took = time.monotonic() - begun
    assert server.wait()["StatusCode"] == 0, server.logs()
    assert took < GRACE_SECONDS + 2, "PROTOCOL.md: at most the grace and 2 s"
    assert client.wait(timeout=WITHIN)["StatusCode"] == 0, client.logs()
    assert client.logs().decode().splitlines() == ["You said: Ada here.", "You said: Goodbye!"]


def test_every_language_greets_every_other(project: Project) -> None:
    up = project.compose("--profile", "polyglot", "up", "--build", "--exit-code-from", "grid")
    output = [line for line in up.stdout.splitlines() if line.startswith("grid-1")]
    assert up.returncode == 0, "\n".join(output) or up.stdout + up.stderr
    counts = f"{len(peers()) ** 2} cells, [0-9]+ passed, 0 failed, [0-{MOST_FLAKY}] flaky, 0 known failing, 0 skipped"
    assert re.search(counts, "\n".join(output))


def test_compose_runs_the_official_clients_of_grpc(project: Project) -> None:
    up = project.compose(
        *("--profile", "official", "up", "--build", "--exit-code-from", "official"), CASES="empty_unary,ping_pong"
    )
    output = [line for line in up.stdout.splitlines() if line.startswith("official-1")]
    assert up.returncode == 0, "\n".join(output) or up.stdout + up.stderr
    assert "20 cells, 20 passed, 0 failed" in "\n".join(output)


def test_compose_has_every_peer_and_every_official_client() -> None:
    services = yaml.safe_load((ROOT / "interop" / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for side in ("server", "client"):
        assert {f"{name}-{side}" for name in peers()} <= set(services)
    greeted = {service["environment"]["SERVERS"] for service in services.values() if "environment" in service}
    assert [set(names.split()) for names in greeted] == [set(peers())]
    official = tomllib.loads((ROOT / "interop" / "official.toml").read_text(encoding="utf-8"))
    required_images = {
        name: row["images"][0] for name, row in official.items() if "images" in row and not row.get("optional")
    }
    assert {name: services[f"official-{name}"]["image"] for name in required_images} == required_images


def peers() -> list[str]:
    """Returns the names of the implementations that have containers."""
    tables = tomllib.loads((ROOT / "interop" / "peers.toml").read_text(encoding="utf-8"))
    return [name for name, table in tables.items() if "dockerfile" in table]
