"""The wheels: installed into an empty environment, they are all that a user needs."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import uv

from running import greeter, required

ROOT = Path(__file__).parent.parent
SECONDS = 300.0
"""For what downloads packages; with a filled cache it takes ten seconds."""


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, check=False, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which nothing but the wheels and what they need is installed."""
    dist = tmp_path_factory.mktemp("dist")
    empty = tmp_path_factory.mktemp("empty")
    binary = uv.find_uv_bin()
    try:
        run(binary, "build", "--all-packages", "--out-dir", dist, cwd=ROOT)
    except AssertionError as error:
        if "Failed to fetch" in str(error) and not required():
            pytest.skip("building needs the package registry, which can't be reached")
        raise
    names = {wheel.name.split("-")[0] for wheel in dist.glob("*.whl")}
    libraries = {"samehost_common", "samehost_server", "samehost_client", "samehost_demo"}
    assert names == libraries | {"samehost_interop", "samehost_interop_python", "samehost_interop_grpclib"}
    run(binary, "venv", "--python", sys.executable, empty / "venv", cwd=empty)
    wheels = [wheel for name in ("common", "server", "client", "demo") for wheel in dist.glob(f"samehost_{name}-*.whl")]
    run(
        binary,
        "pip",
        "install",
        "--python",
        empty / "venv",
        "--constraint",
        ROOT / "requirements.lock",
        *wheels,
        cwd=empty,
    )
    for source in dist.glob("*.tar.gz"):
        with tarfile.open(source) as archive:
            assert any(name.endswith("/pyproject.toml") for name in archive.getnames())
    return empty / "venv" / "bin"


@pytest.mark.timeout(2 * SECONDS)
def test_both_commands_and_the_stubs_work_without_a_source_tree(environment: Path, folder: Path) -> None:
    path = folder / "app.sock"
    with subprocess.Popen(
        [environment / "samehost-server", *greeter("sync"), "--socket", path],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            assert '"event": "ready"' in server.stdout.readline()
            greeting = run(environment / "samehost-demo", "greet", "--socket", path, "--name", "Ada", cwd=folder)
            assert greeting.startswith("Greet\n  > Ada\n  < Hello, Ada!\n")
        finally:
            server.terminate()
    assert server.returncode == 0
    imports = "from samehost.greeter.v1 import greeter_pb2_grpc as g; print(g.__file__)"
    assert str(environment.parent) in run(environment / "python", "-c", imports, cwd=folder)


@pytest.mark.timeout(2 * SECONDS)
def test_the_wheels_say_that_they_are_typed(environment: Path) -> None:
    installed = {marker.parent.name for marker in environment.parent.glob("lib/*/site-packages/samehost*/py.typed")}
    assert installed == {"samehost_common", "samehost_server", "samehost_client", "samehost_demo"}
    stubs = list(environment.parent.glob("lib/*/site-packages/samehost/greeter/v1/*.pyi"))
    assert len(stubs) == 2
