"""Send buffers of 2 MiB on this process's Unix sockets, which grpcio has no option for: only to see what they gain.

It takes walking /proc/self/fd again and again, as every new connection begins with the system's default.
"""

import contextlib
import os
import socket
import stat
import threading
from pathlib import Path

_BYTES = 2 * 1024 * 1024
_INTERVAL_SECONDS = 0.02
"""Often against the second after which our server moves its clients to new connections."""


def keep_wide() -> None:
    """Begins to widen whatever Unix sockets there are, for as long as the process runs."""

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
