"""SIGTERM and SIGINT stop every server of a process, and the handlers of the program still run."""

import signal
from pathlib import Path

import pytest

from running import (
    WITHIN,
    Program,
    eventually,
    fresh_channel,
    greeter,
    program,
    python,
    serving,
    slow_greetings,
    slow_predecessor,
)
from samehost_client.health import check
from samehost_server import SocketAddress

OWN_HANDLER = {
    "sync": """
import os, signal, sys
from samehost_server import Server
from samehost_demo.services import GreeterService
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with Server(sys.argv[1], [GreeterService()]) as server:
    server.wait(announce=True)
print("restored" if before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) else "lost")
os.kill(os.getpid(), signal.SIGTERM)
print("alive", flush=True)
""",
    "aio": """
import asyncio, os, signal, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "heard")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with aio.Server(sys.argv[1], [AsyncGreeterService()]) as server:
        await server.wait(announce=True)
    print("restored" if before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) else "lost")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)
    print("alive", flush=True)
asyncio.run(main())
""",
}


def rest(user: Program) -> list[str]:
    """Returns the rest of the output of a program."""
    out, error = user.process.communicate(timeout=WITHIN)
    assert not error
    return out.splitlines()


def test_the_handler_of_the_program_is_called_and_restored(kind: str, path: Path) -> None:
    with python("-c", OWN_HANDLER[kind], path) as user:
        user.line()
        user.process.terminate()
        assert rest(user) == ["heard", "restored", "heard", "alive"]
        assert user.process.returncode == 0


SEVERAL = {
    "sync": """
import sys
from samehost_server import Server
from samehost_demo.services import GreeterService
with Server(sys.argv[1], [GreeterService()], grace=20) as a, Server(sys.argv[2], [GreeterService()], grace=20):
    a.wait(announce=True)
""",
    "aio": """
import asyncio, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    async with (
        aio.Server(sys.argv[1], [AsyncGreeterService()], grace=20) as a,
        aio.Server(sys.argv[2], [AsyncGreeterService()], grace=20) as b,
    ):
        await asyncio.gather(a.wait(announce=True), b.wait())
asyncio.run(main())
""",
    "mixed": """
import asyncio, sys
from samehost_server import Server, aio
from samehost_demo.services import AsyncGreeterService, GreeterService
async def main():
    async with aio.Server(sys.argv[1], [AsyncGreeterService()], grace=20) as server:
        await server.wait(announce=True)
with Server(sys.argv[2], [GreeterService()], grace=20):
    asyncio.run(main())
""",
}


@pytest.mark.parametrize("kinds", list(SEVERAL))
def test_one_signal_stops_all_servers_of_a_process_at_the_same_time(kinds: str, path: Path) -> None:
    other = path.with_name("other.sock")
    with python("-c", SEVERAL[kinds], path, other) as user:
        user.line()
        with fresh_channel(path) as one, fresh_channel(other) as two:
            streams = [slow_greetings(one, 500), slow_greetings(two, 500)]
            for stream in streams:
                next(stream)
            user.process.terminate()
            eventually(lambda: not path.exists() and not other.exists(), "both paths to be removed")
            assert [len(list(stream)) for stream in streams] == [4, 4], "both drain at the same time"
        assert user.process.wait(WITHIN) == 0


LEFT_ALONE = {
    "sync": """
import signal, sys
from samehost_server import Server
from samehost_demo.services import GreeterService
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
with Server(sys.argv[1], [GreeterService()]) as server:
    server.wait(announce=True, signals=False)
""",
    "aio": """
import asyncio, signal, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
async def main():
    async with aio.Server(sys.argv[1], [AsyncGreeterService()]) as server:
        await server.wait(announce=True, signals=False)
asyncio.run(main())
""",
}


def test_with_signals_false_a_signal_does_not_stop_the_server_and_a_takeover_does(kind: str, path: Path) -> None:
    with python("-c", LEFT_ALONE[kind], path) as user:
        user.line()
        user.process.terminate()
        assert user.line() == "heard\n"
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"
        with serving(kind, path, "--takeover"):
            assert user.process.wait(WITHIN) == 0


WEB_SERVER = """
import asyncio, signal, sys
from samehost_server import aio
from samehost_demo.services import AsyncGreeterService
async def main():
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aio.Server(sys.argv[1], [AsyncGreeterService()]) as server:
        waiting = asyncio.create_task(server.wait(announce=True))
        await stop.wait()
        await waiting
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_stops_with_another_one_that_has_handlers_in_the_same_loop(path: Path, number: signal.Signals) -> None:
    with python("-c", WEB_SERVER, path) as user:
        user.line()
        assert user.end(number) == 0
        assert not path.exists()


HANDLER_STOPS = """
import signal, sys
from samehost_server import Server
from samehost_demo.services import GreeterService
server = Server(sys.argv[1], [GreeterService()], grace=20)
signal.signal(signal.SIGTERM, lambda *_: server.stop())
server.start()
print("ready", flush=True)
server.wait(signals=False)
"""


def test_a_signal_handler_may_stop_the_server_several_times(path: Path) -> None:
    with python("-c", HANDLER_STOPS, path) as user, fresh_channel(path) as channel:
        user.line()
        stream = slow_greetings(channel)
        next(stream)
        user.process.terminate()
        eventually(lambda: not path.exists(), f"{path} to be removed")
        user.process.terminate()
        assert len(list(stream)) == 4
        assert user.process.wait(WITHIN) == 0


EARLY = """
import os, signal, sys
from samehost_server import Server, signals
signals.listen()
os.kill(os.getpid(), signal.SIGTERM)
from samehost_demo.services import GreeterService
with Server(sys.argv[1], [GreeterService()]) as server:
    print(os.path.exists(sys.argv[1]), flush=True)
    server.wait(announce=True)
"""


def test_a_signal_before_the_start_prevents_the_start(path: Path) -> None:
    with python("-c", EARLY, path) as user:
        assert rest(user) == ["False"]
        assert user.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_exits_with_0_after_a_signal_during_the_start(kind: str, path: Path, number: signal.Signals) -> None:
    with (
        slow_predecessor(path) as predecessor,
        program("samehost_server", "--socket", path, "--takeover", *greeter(kind)) as server,
    ):
        predecessor.wait_for_successor()
        server.process.send_signal(number)
        predecessor.hand_over()
        assert rest(server) == []
        assert server.process.returncode == 0
    assert not path.exists()


LATER_HANDLER = """
import signal, sys
from samehost_server import Server, signals
from samehost_demo.services import GreeterService
signals.listen()
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
with Server(sys.argv[1], [GreeterService()]) as server:
    server.wait(announce=True)
"""


def test_wait_handles_signals_after_the_program_has_set_a_handler(path: Path) -> None:
    with python("-c", LATER_HANDLER, path) as user:
        user.line()
        user.process.terminate()
        assert rest(user) == ["heard"]
        assert user.process.returncode == 0


def test_a_second_signal_ends_a_program_that_blocks_before_it_serves(folder: Path, path: Path) -> None:
    (folder / "blocks.py").write_text("import pathlib, time\npathlib.Path('imported').touch()\ntime.sleep(3600)\n")
    with program("samehost_server", "--socket", path, "--services", "blocks:x", cwd=folder) as server:
        eventually((folder / "imported").exists, "the import")
        server.process.terminate()
        server.process.terminate()
        eventually(lambda: ended_or_signalled_again(server), "the program to end")
        assert server.process.returncode == 0


def ended_or_signalled_again(server: Program) -> bool:
    """Sends a signal at each call, because the system merges pending signals of one kind."""
    if server.process.poll() is None:
        server.process.terminate()
    return server.process.poll() is not None


def test_atexit_functions_are_not_cut_off(kind: str, folder: Path, path: Path) -> None:
    code = "import atexit, pathlib, time\nfrom samehost_demo.services import *\n"
    code += "atexit.register(lambda: (time.sleep(1), pathlib.Path('left').touch()))\n"
    code += "sync, aio = GreeterService(), AsyncGreeterService()\n"
    (folder / "leaves.py").write_text(code)
    with serving(kind, path, "--services", f"leaves:{kind}", cwd=folder) as server:
        assert server.end() == 0
    assert (folder / "left").exists()


IN_THE_BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


def test_a_signal_that_the_program_ignores_stays_ignored(kind: str, path: Path) -> None:
    with serving(kind, path, launcher=IN_THE_BACKGROUND) as server:
        server.process.send_signal(signal.SIGINT)
        assert check(SocketAddress(path), timeout=WITHIN) == "SERVING"
        assert server.end() == 0


def test_signals_during_the_exit_do_not_change_the_exit_code(kind: str, path: Path) -> None:
    with serving(kind, path) as server:
        eventually(lambda: ended_or_signalled_again(server), "the program to end", pace=0.001)
        assert server.process.returncode == 0
