"""Tuning: what it sets and keeps. Importing the libraries tunes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from running import WITHIN

CHOSEN = "-event_engine_listener"


def python(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in its own interpreter, because tuning affects a whole process."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"} | variables
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=WITHIN,
        env=environment,
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
    # For an unknown experiment, grpcio would print an error on stderr.
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


def test_tuning_after_the_import_of_grpc_logs_a_warning() -> None:
    done = python("""
import os
import grpc
from samehost_common.tuning import tune
tune()
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert done.stdout == "False\n"
    assert done.stderr == "cannot choose grpc's engine: grpc is already imported; call tune() before\n"


def test_an_experiment_that_grpcio_does_not_have_is_skipped_with_a_warning() -> None:
    done = python("""
import os
from samehost_common import tuning
tuning._LISTENER = "no_such_thing"
tuning.tune()
print("GRPC_EXPERIMENTS" in os.environ)
""")
    assert done.stdout == "False\n"
    assert done.stderr.startswith("cannot choose grpc's engine: this grpcio has no no_such_thing;")


@pytest.mark.parametrize("theirs", ["-event_engine_dns", ""])
def test_the_experiments_of_the_user_are_kept(theirs: str) -> None:
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


def test_each_setting_can_be_turned_off() -> None:
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
    ids=["tuned", "turned off", "set by the user"],
)
def test_freed_memory_is_reused(allocator: bool, variables: dict[str, str], fresh: bool) -> None:
    pages = 8 * (1 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert (int(python(FAULTS.format(allocator), **variables).stdout) > pages / 2) == fresh


def test_another_c_library_is_not_tuned() -> None:
    done = python("""
import ctypes, logging
logging.basicConfig(level=logging.INFO)
ctypes.CDLL = lambda name: object()  # musl's has no gnu_get_libc_version
from samehost_common.tuning import tune
tune(server_engine=False)
""")
    assert done.stderr == "INFO:samehost_common:cannot tune the allocator: the C library of this system is not glibc\n"


@pytest.mark.parametrize(("chosen", "output"), [("stream_options()", "no future"), ("()", "a future")])
def test_with_stream_options_a_stream_is_not_a_future(chosen: str, output: str, folder: Path) -> None:
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
    assert (done.stdout, done.stderr) == (f"{output}\nTrue OK\n", "")


def test_stream_options_without_support_in_grpcio_log_a_warning() -> None:
    done = python("""
import grpc.experimental
del grpc.experimental.ChannelOptions
from samehost_common.tuning import stream_options
print(stream_options())
""")
    assert done.stdout == "[]\n"
    assert done.stderr == "stream_options have no effect: this grpcio has no SingleThreadedUnaryStream\n"


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


@pytest.mark.parametrize("installed", [True, False], ids=["installed", "not installed"])
def test_uvloop_is_used_if_it_is_installed(installed: bool, folder: Path) -> None:
    if installed:
        # uvloop is an extra and may be missing. run_in_loop only needs its new_event_loop.
        (folder / "uvloop.py").write_text("import asyncio\nclass new_event_loop(asyncio.SelectorEventLoop): pass\n")
    done = python(f"""
import asyncio, sys
sys.path.insert(0, {str(folder)!r})
if not {installed}:
    sys.modules["uvloop"] = None
from samehost_common.tuning import run_in_loop
async def loop(): return type(asyncio.get_running_loop()).__module__
print(run_in_loop(loop()))
""")
    assert (done.stdout, done.stderr) == ("uvloop\n" if installed else "asyncio.unix_events\n", "")


CORE_AFTER_THE_END = """
import gc, os, sys
from pathlib import Path
from samehost_common.tuning import tune
{tune}
from samehost_client import connect
from samehost_demo.services import GreeterService
from samehost_server import Server
with Server(sys.argv[1], [GreeterService()], engine="grpcio"):
    connect(sys.argv[1], wait={within}, engine="grpcio").close()
gc.collect()
print(any(name.read_text() == "grpc_global_tim\\n" for name in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.parametrize(
    ("tune", "runs"),
    [("", False), ("tune()", True), ("tune(server_engine=False, client_engine=True)", True)],
)
def test_core_keeps_running_in_a_program_with_tuned_servers_or_channels(path: Path, tune: str, *, runs: bool) -> None:
    done = python(CORE_AFTER_THE_END.format(tune=tune, within=WITHIN), path)
    assert (done.stdout, done.stderr) == (f"{runs}\n", "")
