"""Tests both Python servers with every case of gRPC's own Go client."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from samehost_common import SocketAddress

VERSION = "v1.85.0"
CASES = (
    "cancel_after_begin",
    "cancel_after_first_response",
    "channel_soak",
    "client_streaming",
    "custom_metadata",
    "empty_stream",
    "empty_unary",
    "large_unary",
    "orca_oob",
    "orca_per_rpc",
    "pick_first_unary",
    "ping_pong",
    "rpc_soak",
    "server_streaming",
    "special_status_message",
    "status_code_and_message",
    "timeout_on_sleeping_server",
    "unimplemented_method",
    "unimplemented_service",
)
"""All cases of its source except those that need Google credentials. It has no case of compression."""

ORCA_CONFIG = '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'
"""The load balancer of the client that passes load reports to these two cases."""

pytestmark = pytest.mark.timeout(600)  # the first test builds the client, which takes about two minutes


@pytest.fixture(scope="session")
def go_client() -> Path:
    """The client, built once for all test runs and workers on this machine."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("SAMEHOST_REQUIRE") == "all":
            pytest.fail("the command go is not on PATH; install Go, or unset SAMEHOST_REQUIRE")
        pytest.skip("the command go is not on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samehost" / f"grpc-go-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / "client"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            install = [go, "install", f"google.golang.org/grpc/interop/client@{VERSION}"]
            built = subprocess.run(
                install, env={**os.environ, "GOBIN": str(cache)}, capture_output=True, text=True, check=False
            )
            assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize("case", CASES)
def test_case_passes(serving: SocketAddress, case: str, go_client: Path) -> None:
    command = [str(go_client), f"--server_host=unix://{serving.path}", "--server_port=0", f"--test_case={case}"]
    if case.startswith("orca_"):
        command.append(f"--service_config_json={ORCA_CONFIG}")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
