"""Permissions in containers: which users can connect, and which errors the others get."""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from running import WITHIN, Running, eventually, listening, required, run_without_rights
from samehost_client.health import check
from samehost_common import SocketAddress
from samehost_demo.services import GreeterService
from samehost_server import Server

ROOT = Path(__file__).parent.parent
FOLDER = "/run/samehost"
SOCKET = f"{FOLDER}/app.sock"
GREETER = ("--services", "samehost_demo.services:greeter", "--socket", SOCKET)
SECONDS = 600.0

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture(scope="module")
def docker_engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=int(SECONDS))
        client.ping()
    except docker.errors.DockerException as error:
        message = f"cannot use a Docker engine: {error}; see docs.docker.com/engine/install"
        pytest.fail(message) if required() else pytest.skip(message)
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(docker_engine: docker.DockerClient) -> str:
    """The image of the Dockerfile."""
    return str(docker_engine.images.build(path=str(ROOT), rm=True, forcerm=True)[0].id)


class Host:
    """A volume, and containers that share only this volume."""

    def __init__(self, docker_engine: docker.DockerClient, image: str, volume: str) -> None:
        self._engine = docker_engine
        self._image = image
        self.volume = volume

    @contextmanager
    def container(self, *words: str, user: str, mode: str = "rw") -> Iterator[Container]:
        container = self._engine.containers.run(
            self._image,
            list(words),
            detach=True,
            user=user,
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            volumes={self.volume: {"bind": FOLDER, "mode": mode}},
        )
        try:
            yield container
        finally:
            container.remove(force=True)

    @contextmanager
    def serving(self, *options: str) -> Iterator[Container]:
        with self.container("samehost-server", *GREETER, *options, user="10001:10000") as server:
            eventually(lambda: b'"ready"' in server.logs(stderr=False), f"the ready line, got {server.logs()!r}")
            yield server

    def call(self, user: str, mode: str = "ro") -> tuple[int, str]:
        """Runs a client as a user and returns its exit code and output."""
        words = ("samehost-demo", "greet", "--socket", SOCKET, "--timeout", "20")
        with self.container(*words, user=user, mode=mode) as client:
            code = client.wait(timeout=SECONDS)["StatusCode"]
            return int(code), client.logs().decode()


@pytest.fixture
def host(docker_engine: docker.DockerClient, image: str) -> Iterator[Host]:
    """A volume that every user can enter and only the user of the server can write to, so that the socket decides."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "uid=10001,gid=10000,mode=0755"}
    volume = docker_engine.volumes.create(f"samehost-test-{uuid.uuid4().hex[:8]}", driver="local", driver_opts=options)
    yield Host(docker_engine, image, volume.name)
    volume.remove(force=True)


def test_the_group_can_connect_over_a_read_only_mount_and_others_cannot(host: Host) -> None:
    with host.serving("--mode", "0660"):
        code, output = host.call("10002:10000")
        assert (code, "Hello, world!" in output) == (0, True), output
        for user, who in (("10003:10003", "uid 10003 with gids 10003"), ("0:0", "uid 0 with gids 0")):
            code, output = host.call(user)
            assert code == 1
            assert output.startswith("samehost-demo: ")
            assert f"{SOCKET} belongs to uid 10001 and gid 10000 with mode 0660, and this process is {who}" in output
            assert output.count("\n") == 1


def test_with_mode_0600_the_group_cannot_connect_either(host: Host) -> None:
    with host.serving("--mode", "0600"):
        code, output = host.call("10002:10000")
        assert code == 1
        assert f"{SOCKET} belongs to uid 10001 and gid 10000 with mode 0600" in output
        code, output = host.call("10001:10001")
        assert (code, "Hello, world!" in output) == (0, True), output


def test_a_server_on_a_read_only_mount_prints_the_cause(host: Host) -> None:
    with host.container("samehost-server", *GREETER, user="10001:10000", mode="ro") as server:
        assert server.wait(timeout=SECONDS)["StatusCode"] == 1
        output = server.logs().decode()
    assert output.startswith("samehost-server: ")
    assert f"{SOCKET}.lock: read-only file system" in output
    assert output.count("\n") == 1


def test_one_process_serves_an_administrator_and_the_public_on_two_sockets(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; run as root")
    folder.chmod(0o755)
    public, admin = folder / "public.sock", folder / "admin.sock"
    with (
        Server(public, [GreeterService()], mode=0o666, max_connection_age=0.1),
        Server(admin, [GreeterService()], mode=0o600, max_connection_age=0.1),
    ):
        assert stat.S_IMODE(admin.stat().st_mode) == 0o600
        assert check(SocketAddress(admin), timeout=WITHIN) == "SERVING"
        allowed = run_without_rights("samehost_demo", "greet", "--socket", public)
        assert allowed.returncode == 0, allowed.stderr
        refused = run_without_rights("samehost_demo", "greet", "--socket", admin)
        assert refused.returncode == 1
        assert f"{admin}: permission denied" in refused.stderr


def test_an_error_names_the_folder_that_keeps_a_client_out(kind: str, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; run as root")
    with Running(kind, folder / "app.sock", mode=0o666):
        refused = run_without_rights("samehost_demo", "greet", "--socket", folder / "app.sock")
    assert refused.returncode == 1
    assert f"{folder} belongs to uid 0 and gid 0 with mode 0700" in refused.stderr


def test_a_socket_without_write_permission_keeps_a_client_out(folder: Path) -> None:
    folder.chmod(0o755)
    with listening(folder / "app.sock"):
        (folder / "app.sock").chmod(0o444)
        refused = run_without_rights("samehost_demo", "greet", "--socket", folder / "app.sock")
    assert refused.returncode == 1
    assert "mode 0444" in refused.stderr
