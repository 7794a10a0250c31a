"""Sets send buffers of 2 MiB on the Unix sockets of this process, only to measure their effect.

grpcio has no option for them. Every new connection starts with the system's default, so a thread searches /proc/self/fd
repeatedly.
"""

import contextlib
import os
import socket
import stat
import threading
from pathlib import Path

_BYTES = 2 * 1024 * 1024
_INTERVAL_SECONDS = 0.02
"""Short, compared with the second after which our server moves its clients to new connections."""


def keep_wide() -> None:
    """Start to enlarge the buffers of all Unix sockets, until the process exits."""

    def widen_again_and_again() -> None:
        pace = threading.Event()
        while not pace.wait(_INTERVAL_SECONDS):
            for entry in Path("/proc/self/fd").iterdir():
                with contextlib.suppress(OSError):
                    _widen(int(entry.name))

    threading.Thread(target=widen_again_and_again, daemon=True).start()


def _widen(descriptor: int) -> None:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.family == socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BYTES)
