"""The examples of deploy/ are valid for systemd and Kubernetes, and use existing options of our commands."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no py.typed
import pytest
import yaml

from running import WITHIN, required, run

DEPLOY = Path(__file__).parent.parent / "deploy"
UNIT = DEPLOY / "systemd" / "samehost-greeter.service"
POD = DEPLOY / "kubernetes" / "pod.yaml"


def pod() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(POD.read_text(encoding="utf-8"))
    return loaded


def test_the_unit_is_valid(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        message = "systemd-analyze is not on PATH; install systemd"
        pytest.fail(message) if required() else pytest.skip(message)
    # systemd-analyze checks that the program exists, which may not be installed here.
    text = UNIT.read_text(encoding="utf-8").replace("/opt/samehost/bin/samehost-server", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN,
    )
    ours = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert (verified.returncode, ours) == (0, []), verified.stderr


def test_the_unit_uses_existing_options() -> None:
    command = re.search(r"^ExecStart=\S+/samehost-server (.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert command
    assert_options_known("samehost_server", command[1].split())


def test_the_pod_is_valid() -> None:
    kubernetes_validate.validate(pod(), "1.31", strict=True)


def test_the_pod_uses_existing_options() -> None:
    server, client = pod()["spec"]["containers"]
    assert (server["command"], client["command"]) == (["samehost-server"], ["samehost"])
    assert_options_known("samehost_server", server["args"])
    assert_options_known("samehost_client", client["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = server[probe]["exec"]["command"]
        assert command[0] == "samehost"
        assert_options_known("samehost_client", command[1:])


def test_server_and_client_share_the_group_and_mount_the_same_folder() -> None:
    spec = pod()["spec"]
    server, client = spec["containers"]
    assert f"--group={spec['securityContext']['fsGroup']}" in server["args"]
    assert server["securityContext"]["runAsUser"] != client["securityContext"]["runAsUser"]
    mounts = [container["volumeMounts"][0]["mountPath"] for container in (server, client)]
    assert mounts == ["/run/samehost"] * 2


def assert_options_known(module: str, words: list[str]) -> None:
    """Runs the program with these arguments and --help. An unknown argument is wrong usage."""
    helped = run(module, *words, "--help")
    assert helped.returncode == 0, helped.stderr
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert option in helped.stdout
