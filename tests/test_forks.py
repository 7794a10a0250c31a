"""A forked child keeps nothing of its parent's server: no path, lock, listener or client."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from running import WITHIN, eventually, fresh_channel, python, serving
from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub
from samehost_client import NoSocketError, StaleSocketError, diagnose
from samehost_client.health import check
from samehost_common.engine import GRPCIO
from samehost_server import SocketAddress

WITHOUT_FORK_HANDLERS = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0"}
"""Those of grpcio crash or hang a child now and then: see docs/background/limits.md."""

FORKS = {
    "sync": """
import os, sys
from samehost_server import Server
from samehost_demo.services import GreeterService
with Server(sys.argv[1], [GreeterService()], grace=0.1) as server:
    sys.stdin.readline()
    if not os.fork():
        print("forked", flush=True)
        server.stop()
        server.wait()
        sys.stdin.read()
        sys.exit(0)
    server.wait()
""",
    "aio": """
import asyncio, os, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    async with aio.Server(sys.argv[1], [AsyncGreeterService()], grace=0.1) as server:
        await asyncio.to_thread(sys.stdin.readline)
        if not os.fork():
            await server.stop()
            print("forked", flush=True)
            sys.stdin.read()
            os._exit(0)
        await server.wait()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_parent_exits_the_path_is_free_and_its_connections_end(
    kind: str, path: Path, number: signal.Signals
) -> None:
    with (
        python("-c", FORKS[kind], path, stdin=subprocess.PIPE, env=WITHOUT_FORK_HANDLERS) as parent,
        socket.socket(socket.AF_UNIX) as client,
    ):
        assert parent.process.stdin is not None
        eventually(path.exists, f"{path} to exist")
        client.settimeout(WITHIN)
        client.connect(str(path))
        client.recv(1)  # it was accepted
        parent.process.stdin.write("\n")
        parent.process.stdin.flush()
        assert parent.line() == "forked\n"
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING", "the parent is not affected"
        parent.process.send_signal(number)
        parent.process.wait(WITHIN)
        while client.recv(4096):  # until the connection has ended
            pass
        expected = {signal.SIGTERM: NoSocketError, signal.SIGKILL: StaleSocketError}[number]
        assert isinstance(diagnose(path), expected)
        with serving(kind, path), fresh_channel(path):
            assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"
        parent.process.stdin.close()


CHILD_OF_A_WAITING_PARENT = """
import multiprocessing, sys, threading, time
from samehost_server import Server, signals
from samehost_demo.services import GreeterService
signals.listen()
context = multiprocessing.get_context("fork")
def sleep(begun):
    begun.set()
    time.sleep(3600)
def fork_and_terminate():
    begun = context.Event()
    child = context.Process(target=sleep, args=(begun,), daemon=True)
    child.start()
    begun.wait()
    child.terminate()
    child.join()
    print(child.exitcode, flush=True)
    server.stop()
with Server(sys.argv[1], [GreeterService()]) as server:
    threading.Thread(target=fork_and_terminate).start()
    server.wait()
"""


def test_a_child_handles_signals_as_without_a_server(path: Path) -> None:
    with python("-c", CHILD_OF_A_WAITING_PARENT, path, env=WITHOUT_FORK_HANDLERS) as parent:
        assert parent.line() == f"-{signal.SIGTERM:d}\n"
        assert parent.process.wait(WITHIN) == 0


FORKING_HANDLER = """
import sys
from samehost_common.tuning import tune
tune()
import multiprocessing
from samehost.greeter.v1.greeter_pb2 import GreetResponse
from samehost_server import Server
from samehost_demo.services import GreeterService
class Forking(GreeterService):
    def Greet(self, request, context):
        child = multiprocessing.get_context("fork").Process(target=int)
        child.start()
        child.join()
        return GreetResponse(message=str(child.exitcode))
with Server(sys.argv[1], [Forking()]) as server:
    server.wait(announce=True)
"""


def test_children_that_a_handler_forks_exit_with_0_without_the_fork_handlers_of_grpcio(path: Path, engine: str) -> None:
    environment = WITHOUT_FORK_HANDLERS if engine == GRPCIO else dict(os.environ)
    with python("-c", FORKING_HANDLER, path, env={**environment, "SAMEHOST_ENGINE": engine}) as server:
        assert server.line()
        with fresh_channel(path) as channel:
            greet = GreeterServiceStub(channel).Greet
            assert {greet(GreetRequest(name="Ada"), timeout=WITHIN).message for _ in range(200)} == {"0"}
        assert server.end() == 0


SERVING_CHILD = """
import os, sys
from samehost_common.tuning import tune
tune(client_engine=True)
from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub
from samehost_client import connect
from samehost_demo.services import GreeterService
from samehost_server import Server
def greet(process):
    with Server(sys.argv[1], [GreeterService()]), connect(sys.argv[1], wait=10) as channel:
        print(process, GreeterServiceStub(channel).Greet(GreetRequest(name="Ada"), timeout=10).message, flush=True)
greet("parent")
if child := os.fork():
    code = os.waitpid(child, 0)[1]
    greet("parent")
    sys.exit(code)
greet("child")
"""


def test_a_child_of_a_tuned_program_serves_after_the_server_of_its_parent_has_stopped(path: Path) -> None:
    with python("-c", SERVING_CHILD, path) as program:
        assert [program.line() for _ in range(3)] == [f"{name} Hello, Ada!\n" for name in ("parent", "child", "parent")]
        assert program.process.wait(WITHIN) == 0
