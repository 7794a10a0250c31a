"""What makes calls over a socket cheaper, for a whole process: our programs do it, importing the libraries never does.

```python
from samehost_common.tuning import tune

tune()  # before anything imports grpc

from samehost_client import connect
```

`stream_options` are for channels, as they cost something that a program may need.

bench/README.md has what each switch gains.
"""

import asyncio
import ctypes
import importlib
import importlib.util
import logging
import mmap
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_LOG = logging.getLogger("samehost_common")

_LISTENER, _CLIENT = "event_engine_listener", "event_engine_client"
"""grpc's names for the threads that read and write sockets on behalf of servers and of clients, the default since 1.80.
Without them the thread that calls or serves does it itself, and hand-overs between threads are saved in every call."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of mallopt(3), by their numbers in glibc's malloc.h."""

_LARGEST_BLOCK = 32 * 1024 * 1024
"""The most that glibc takes for the size from which a block gets a mapping of its own, which is fresh each time."""

_KEPT = 64 * 1024 * 1024
"""What is kept at the end of the heap when it is free: as much as one heap of glibc's has for a thread. With both, a
server took 4 page faults for a call of 1 MiB each way, and 497 without; with the first alone, 1,973."""

_USERS_OWN = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables by which users set the same."""


def tune(*, server_engine: bool = True, client_engine: bool = False, allocator: bool = True) -> None:
    """Tunes this process for calls over a socket; call it before grpc is imported.

    A switch that can't be is skipped, and the log says so. What users have set themselves, in GRPC_EXPERIMENTS or
    glibc's variables, is left as it is.

    Args:
        server_engine: let the threads that serve do their own input and output. Both engines set GRPC_EXPERIMENTS,
            which programs that this process starts inherit.
        client_engine: let the thread that calls do its own. It gains most for small calls, but is for programs that
            keep their channels: grpcio 1.85.1 corrupts memory, and mostly aborts, when a synchronous channel is closed
            just after a call of more than 200 KB whose connection broke (1 in 2,000 breaks; 0 of 16,000 on channels
            that were kept, 0 of 6,000 on those of asyncio).
        allocator: let glibc keep freed memory for the next message. Without it large messages are written into fresh
            pages, each of them a page fault. It costs memory: up to 64 MiB that were in use once are kept by each of
            malloc's arenas, of which there are at most eight for each core.
    """
    if wanted := [name for name, chosen in ((_LISTENER, server_engine), (_CLIENT, client_engine)) if chosen]:
        _choose_engines(wanted)
    if allocator:
        _keep_freed_memory()


def stream_options() -> list[tuple[str, int]]:
    """Options for a synchronous channel whose server streams are only iterated over: `connect(..., options=...)`.

    The thread that iterates reads the messages itself (SingleThreadedUnaryStream, grpc/grpc 20753), where grpcio has
    another thread read each and hand it over. It costs what makes such a call a Future: nothing goes on while nobody
    iterates, and `result`, `code`, `details` and `trailing_metadata` raise grpc.experimental.UsageError before its end,
    where they would wait for it. Imports grpc, so call `tune()` before.
    """
    from grpc import experimental  # noqa: PLC0415 - tune() comes before any import of grpc

    option = getattr(getattr(experimental, "ChannelOptions", None), "SingleThreadedUnaryStream", None)
    if option is None:
        _LOG.warning("streams are read by threads of their own: this grpcio knows no SingleThreadedUnaryStream")
        return []
    return [(option, 1)]


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop to use, for asyncio.Runner: uvloop's where it is installed, else asyncio's own."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def run_in_loop(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine as asyncio.run does, in the loop that event_loop gives."""
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        return runner.run(work)


def _choose_engines(experiments: list[str]) -> None:
    if "GRPC_EXPERIMENTS" in os.environ:
        return
    if "grpc" in sys.modules:
        _LOG.warning("grpc's engine is not chosen: grpc was imported before; call tune() first")
        return
    core = _grpc_core()
    if core is None:
        return  # whoever needs grpc learns that it is not there when it is imported
    if unknown := [name for name in experiments if not _is_known(core, name)]:
        _LOG.warning("grpc's engine is not chosen: this grpcio knows no %s; see bench/README.md", " and ".join(unknown))
        return
    os.environ["GRPC_EXPERIMENTS"] = ",".join(f"-{name}" for name in experiments)


def _grpc_core() -> Path | None:
    """The shared library that grpc is made of, found without importing it."""
    found = importlib.util.find_spec("grpc")
    folders = (found.submodule_search_locations if found else None) or ()
    return next((core for folder in folders for core in Path(folder, "_cython").glob("cygrpc*.so")), None)


def _is_known(core: Path, experiment: str) -> bool:
    """Whether the library has the name among its strings; an unknown one would be refused aloud at every start."""
    with core.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(experiment.encode() + b"\0") >= 0


def _keep_freed_memory() -> None:
    if any(name in os.environ for name in _USERS_OWN):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # another one may have a mallopt that does nothing
        _LOG.info("the allocator is not tuned: this system's C library is not glibc")
        return
    for parameter, value in ((_MMAP_THRESHOLD, _LARGEST_BLOCK), (_TRIM_THRESHOLD, _KEPT)):
        if not libc.mallopt(parameter, value):
            _LOG.warning("the allocator is not tuned: glibc refuses %d for mallopt's parameter %d", value, parameter)
