"""Tuning: what it sets and when, what it leaves alone, and that importing the libraries changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from running import WITHIN

CHOSEN = "-event_engine_listener"


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own, as what is tuned is a process."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"} | variables
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=WITHIN, env=environment
    )


def test_the_engine_is_chosen_before_grpc_is_imported() -> None:
    done = python("""
import os, sys
from samehost_common.tuning import tune
tune()
assert "grpc" not in sys.modules
from samehost_client import connect
assert "grpc" in sys.modules
print(os.environ["GRPC_EXPERIMENTS"])
""")
    # This grpcio would say "Unknown experiment" on stderr.
    assert (done.stdout.strip(), done.stderr) == (CHOSEN, "")


def test_the_engine_of_clients_is_chosen_on_request() -> None:
    done = python("""
import os
from samehost_common.tuning import tune
tune(client_engine=True)
from samehost_client import connect
print(os.environ["GRPC_EXPERIMENTS"])
""")
    assert (done.stdout.strip(), done.stderr) == (f"{CHOSEN},-event_engine_client", "")


def test_too_late_is_said() -> None:
    done = python("""
import os
import grpc
from samehost_common.tuning import tune
tune()
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert done.stdout == "False\n"
    assert done.stderr == "grpc's engine is not chosen: grpc was imported before; call tune() first\n"


def test_what_a_newer_grpcio_does_not_know_is_skipped_and_said() -> None:
    done = python("""
import os
from samehost_common import tuning
tuning._LISTENER = "no_such_thing"
tuning.tune()
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert done.stdout == "False\n"
    assert done.stderr.startswith("grpc's engine is not chosen: this grpcio knows no no_such_thing;")


@pytest.mark.parametrize("theirs", ["-event_engine_dns", ""])
def test_the_users_own_experiments_are_left_alone(theirs: str) -> None:
    done = python(
        "from samehost_common.tuning import tune; import os; tune(); print(os.environ['GRPC_EXPERIMENTS'])",
        GRPC_EXPERIMENTS=theirs,
    )
    assert (done.stdout, done.stderr) == (f"{theirs}\n", "")


def test_importing_the_libraries_tunes_nothing() -> None:
    done = python("""
import os
import samehost_client.commands, samehost_client.__main__, samehost_server.commands, samehost_server.__main__
import samehost_common.tuning, samehost_client.aio, samehost_server.aio
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_each_switch_can_be_left_out() -> None:
    done = python("""
import os
from samehost_common.tuning import tune
tune(server_engine=False)
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert (done.stdout, done.stderr) == ("False\n", "")


FAULTS = """
import resource
from samehost_common.tuning import tune
tune(server_engine=False, allocator={})
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * (1 << 20) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize(
    ("allocator", "variables", "fresh"),
    [(True, {}, False), (False, {}, True), (True, {"MALLOC_MMAP_THRESHOLD_": "65536"}, True)],
    ids=["tuned", "left out", "the user's own"],
)
def test_freed_memory_is_used_again(allocator: bool, variables: dict[str, str], fresh: bool) -> None:
    pages = 8 * (1 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert (int(python(FAULTS.format(allocator), **variables).stdout) > pages / 2) == fresh


def test_another_c_library_is_left_alone() -> None:
    done = python("""
import ctypes, logging
logging.basicConfig(level=logging.INFO)
ctypes.CDLL = lambda name: object()  # musl's has no gnu_get_libc_version
from samehost_common.tuning import tune
tune(server_engine=False)
""")
    assert done.stderr == "INFO:samehost_common:the allocator is not tuned: this system's C library is not glibc\n"


@pytest.mark.parametrize(("chosen", "said"), [("stream_options()", "no future"), ("()", "a future")])
def test_streams_that_are_read_where_they_are_iterated_are_no_futures(chosen: str, said: str, folder: Path) -> None:
    done = python(f"""
from samehost_common.tuning import stream_options, tune
tune()
import grpc.experimental
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import connect
from samehost_server import Server
from samehost_demo.services import GreeterService
address = {str(folder / "app.sock")!r}
with Server(address, [GreeterService()]), connect(address, wait=5, options={chosen}) as channel:
    stub = greeter_pb2_grpc.GreeterServiceStub(channel)
    call = stub.GreetInLanguages(greeter_pb2.GreetInLanguagesRequest(name="Ada"), timeout=5)
    next(call)
    try:
        call.result(timeout=0)
    except grpc.FutureTimeoutError:
        print("a future")
    except grpc.experimental.UsageError:
        print("no future")
    print(len(list(call)) > 0, call.code().name)
""")
    assert (done.stdout, done.stderr) == (f"{said}\nTrue OK\n", "")


def test_a_grpcio_without_single_threaded_streams_is_told_of() -> None:
    done = python("""
import grpc.experimental
del grpc.experimental.ChannelOptions
from samehost_common.tuning import stream_options
print(stream_options())
""")
    assert done.stdout == "[]\n"
    assert done.stderr == "streams are read by threads of their own: this grpcio knows no SingleThreadedUnaryStream\n"


@pytest.mark.parametrize("module", ["samehost_client", "samehost_server", "samehost_demo", "samehost_interop_python"])
def test_programs_are_tuned(module: str) -> None:
    done = python(f"""
import atexit, os, sys
from {module}.__main__ import main
atexit.register(lambda: print(os.environ["GRPC_EXPERIMENTS"]))
sys.argv = ["program", "--help"]
main()
""")
    assert (done.stdout.splitlines()[-1], done.stderr) == (CHOSEN, "")


@pytest.mark.parametrize("there", [True, False], ids=["installed", "not installed"])
def test_uvloop_is_used_where_it_is_installed(there: bool, folder: Path) -> None:
    if there:
        # uvloop itself is an extra, so it may not be here; what is asked of it is its new_event_loop.
        (folder / "uvloop.py").write_text("import asyncio\nclass new_event_loop(asyncio.SelectorEventLoop): pass\n")
    done = python(f"""
import asyncio, sys
sys.path.insert(0, {str(folder)!r})
if not {there}:
    sys.modules["uvloop"] = None
from samehost_common.tuning import run_in_loop
async def loop(): return type(asyncio.get_running_loop()).__module__
print(run_in_loop(loop()))
""")
    assert (done.stdout, done.stderr) == ("uvloop\n" if there else "asyncio.unix_events\n", "")
