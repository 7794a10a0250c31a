"""Settings that make calls over a socket cheaper. They are opt-in, because they affect the whole process.

The programs of samehost call `tune`. Importing the libraries never does. To tune your own program, call it before
anything imports grpc:

```python
from samehost_common.tuning import tune

tune()

from samehost_client import connect  # imports grpc
```

`stream_options` apply to one channel, because they turn off features that a program may need. bench/README.md lists
what each setting gains.
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
"""grpc's names for the experiments in which separate threads read and write the sockets of servers and of clients. Both
are on by default since 1.80. Without them, the thread that calls or serves does it, which saves thread switches in
every call."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""The numbers of these mallopt(3) parameters in glibc's malloc.h."""

_LARGEST_BLOCK = 32 * 1024 * 1024
"""The maximum of M_MMAP_THRESHOLD in glibc. A larger block gets its own mapping, with fresh pages each time."""

_KEPT = 64 * 1024 * 1024
"""The free memory that glibc keeps at the end of a heap: as much as the heap of one thread can have. With both settings
a server had 4 page faults for a call of 1 MiB each way, without them 497, and with the first one alone 1,973."""

_USERS_OWN = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Environment variables with which users tune the allocator themselves."""


def tune(*, server_engine: bool = True, client_engine: bool = False, allocator: bool = True) -> None:
    """Tunes this process for calls over a socket. Call it before anything imports grpc.

    Skips a setting that this system does not support, and logs that. Keeps what the user has set in GRPC_EXPERIMENTS or
    in glibc's environment variables.

    Args:
        server_engine: let the threads of the server do their own input and output. This setting and the next one set
            GRPC_EXPERIMENTS, which the processes that this one starts inherit.
        client_engine: let the thread that calls do its own input and output. Small calls gain most. Channels of plain
            grpc then need `keep_core(client=True)`.
        allocator: let glibc keep freed memory for the next message. Otherwise each large message is written into fresh
            pages, and each page costs a page fault. It costs memory: each arena of malloc keeps up to 64 MiB that were
            in use once, and there are at most eight arenas for each core.
    """
    if wanted := [name for name, chosen in ((_LISTENER, server_engine), (_CLIENT, client_engine)) if chosen]:
        _choose_engines(wanted)
    if allocator:
        _keep_freed_memory()


def keep_core(*, client: bool = False) -> None:
    """Keeps C-core running until the process exits, if `tune` has chosen the engine of servers.

    The servers and channels of samehost call it. Call it too if a tuned program uses servers or channels of plain
    grpc. Otherwise C-core shuts down with the last of them, while one of its threads may still poll: with this engine
    it does so for up to 10 s after a write that had to wait (run_poller in C-core's tcp_posix.cc). It then uses freed
    memory. Where the threads of C-core got little CPU time, 11 of 40 servers and 6 of 20 clients crashed so after their
    end, and none of 60 that called this function. Clients that closed a channel after each of 3,000 calls of 300 KB,
    to a server that did not read or broke off, corrupted memory in 3 of 4 runs, and with it in none (grpcio 1.85.1).

    Args:
        client: check whether `tune` has chosen the engine of clients instead.
    """
    chosen = os.environ.get("GRPC_EXPERIMENTS", "").split(",")
    if f"-{_CLIENT if client else _LISTENER}" in chosen and not _keeping:
        _keep_core()


def stream_options() -> list[tuple[str, int]]:
    """Returns options for a synchronous channel whose streams are only iterated over: `connect(..., options=...)`.

    The thread that iterates reads the messages itself (SingleThreadedUnaryStream, grpc/grpc 20753). By default, grpcio
    reads each message in another thread and hands it over. With these options a streaming call is no Future: it makes
    no progress while nobody iterates, and `result`, `code`, `details` and `trailing_metadata` raise
    grpc.experimental.UsageError before its end instead of waiting for it.

    Imports grpc, so call `tune()` first.
    """
    from grpc import experimental  # noqa: PLC0415 - tune() must run before grpc is imported

    option = getattr(getattr(experimental, "ChannelOptions", None), "SingleThreadedUnaryStream", None)
    if option is None:
        _LOG.warning("stream_options have no effect: this grpcio has no SingleThreadedUnaryStream")
        return []
    return [(option, 1)]


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns the loop factory for asyncio.Runner: that of uvloop if it is installed, else None for asyncio's own."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def run_in_loop(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine as asyncio.run does, in a loop of event_loop()."""
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        return runner.run(work)


_keeping: list[object] = []
"""The objects of C-core that keep it running."""

_is_kept = False


def _keep_core() -> None:
    import grpc  # noqa: PLC0415 - tune() must run before grpc is imported

    global _is_kept  # noqa: PLW0603 - the process is global
    _is_kept = True
    credentials = grpc.insecure_server_credentials()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(credentials))  # the interpreter must not free it before the exit
    _keeping.append(credentials)


def _release_core() -> None:
    """Lets C-core shut down before a fork if nothing uses it, because a child cannot use what its parent started."""
    while _keeping:
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(_keeping[-1]))
        _keeping.pop()


def _keep_core_again() -> None:
    if _is_kept and not _keeping:
        _keep_core()


def _forget_core() -> None:
    global _is_kept  # noqa: PLW0603
    _is_kept = False


os.register_at_fork(before=_release_core, after_in_parent=_keep_core_again, after_in_child=_forget_core)


def _choose_engines(experiments: list[str]) -> None:
    if "GRPC_EXPERIMENTS" in os.environ:
        return
    if "grpc" in sys.modules:
        _LOG.warning("cannot choose grpc's engine: grpc is already imported; call tune() before")
        return
    core = _grpc_core()
    if core is None:
        return  # the import of grpc will fail and report that it is missing
    if unknown := [name for name in experiments if not _is_known(core, name)]:
        _LOG.warning("cannot choose grpc's engine: this grpcio has no %s; see bench/README.md", " and ".join(unknown))
        return
    os.environ["GRPC_EXPERIMENTS"] = ",".join(f"-{name}" for name in experiments)


def _grpc_core() -> Path | None:
    """Finds the shared library of grpc without importing it."""
    found = importlib.util.find_spec("grpc")
    folders = (found.submodule_search_locations if found else None) or ()
    return next((core for folder in folders for core in Path(folder, "_cython").glob("cygrpc*.so")), None)


def _is_known(core: Path, experiment: str) -> bool:
    """Whether the library contains the name. grpc prints an error at every start for an unknown experiment."""
    with core.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(experiment.encode() + b"\0") >= 0


def _keep_freed_memory() -> None:
    if any(name in os.environ for name in _USERS_OWN):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # other C libraries may have a mallopt without effect
        _LOG.info("cannot tune the allocator: the C library of this system is not glibc")
        return
    for parameter, value in ((_MMAP_THRESHOLD, _LARGEST_BLOCK), (_TRIM_THRESHOLD, _KEPT)):
        if not libc.mallopt(parameter, value):
            _LOG.warning("cannot tune the allocator: glibc rejects %d for parameter %d of mallopt", value, parameter)
