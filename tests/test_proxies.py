"""HTTP/2 proxies in front of a socket pass every call with the configurations of deploy/."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from running import WITHIN, Running, required
from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub
from samehost_client import connect

DEPLOY = Path(__file__).parent.parent / "deploy"
CONFIGURATIONS = {"haproxy": DEPLOY / "haproxy" / "haproxy.cfg", "nginx": DEPLOY / "nginx" / "nginx.conf"}
ADDRESS, SOCKET = "127.0.0.1:50051", "/run/app/app.sock"
CALLS = 400


@pytest.mark.parametrize("proxy", CONFIGURATIONS)
def test_a_proxy_passes_every_call_to_a_server_whose_connections_live_long(proxy: str, kind: str, folder: Path) -> None:
    if shutil.which(proxy) is None:
        message = f"{proxy} is not on PATH; install {proxy}"
        pytest.fail(message) if required() else pytest.skip(message)
    if proxy == "nginx" and os.geteuid() != 0:
        pytest.skip("nginx writes to folders of root; run as root")
    folder.chmod(0o755)  # the workers of nginx run as another user
    server, front = folder / "app.sock", folder / "front.sock"
    # The proxy listens on a socket too, because parallel tests cannot share a port.
    listens = {"haproxy": f"unix@{front}", "nginx": f"unix:{front}"}[proxy]
    configuration = folder / "configuration"
    text = CONFIGURATIONS[proxy].read_text(encoding="utf-8")
    assert text.count(ADDRESS) >= 1
    assert text.count(SOCKET) == 1
    configuration.write_text(text.replace(SOCKET, str(server)).replace(ADDRESS, listens), encoding="utf-8")
    command = {
        "haproxy": [proxy, "-db", "-f", str(configuration)],
        "nginx": [
            *(proxy, "-p", str(folder), "-e", "stderr", "-c", str(configuration)),
            *("-g", f"daemon off; pid {folder}/nginx.pid;"),
        ],
    }[proxy]
    with (
        Running(kind, server, mode=0o666, max_connection_age=3600, grace=0.1),
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            with connect(front, wait=WITHIN) as channel, ThreadPoolExecutor(16) as callers:
                greet = GreeterServiceStub(channel).Greet
                answers = [callers.submit(greet, GreetRequest(name="Ada"), timeout=WITHIN) for _ in range(CALLS)]
                assert {answer.result().message for answer in answers} == {"Hello, Ada!"}
        finally:
            process.terminate()
            process.wait(WITHIN)
