"""Cases for folders that other users can write to. README.md in this folder explains why each case matters."""

import hashlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from samehost_interop.socket_suite.locks import lock_of
from samehost_interop.socket_suite.pair import Pair, ends, expect, names_in

_STARTS = 100
"""How many starts the attacker gets to replace the private folder, which may exist for only 0.1 ms."""

_STRANGER = 65534
"""The uid of nobody."""


def hostile_folder(pair: Pair) -> None:
    """A server refuses a folder that every user can write to, and never changes files of another user."""
    victim = pair.folder / "victim"
    victim.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(victim / "other.sock"))
    pair.folder.chmod(0o777)
    pair.refuses("listen.shared_folder")
    expect("files in the folder after the refusal", names_in(pair.folder), {"victim"})
    with _unchanged(victim):
        _serves_with_a_warning(pair)
        pair.folder.chmod(0o1777)
        lock_of(pair.socket).chmod(0o666)
        Path(f"{_private(pair)}00000000").symlink_to(victim)
        with pair.serving():
            pair.greets()
            expect(
                "mode of a lock file that others could lock", stat.S_IMODE(lock_of(pair.socket).stat().st_mode), 0o600
            )
        _refuses_foreign_lock_files(pair, victim)


def private_folder_is_swapped(pair: Pair) -> None:
    """If an attacker replaces the private folder while a server starts, the server does not change other folders."""
    victim = pair.folder / "victim"
    victim.mkdir(mode=0o700)
    done = threading.Event()
    with _unchanged(victim), ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(_swap_private_folder, pair, victim, done)
        try:
            for _ in range(_STARTS):
                if swapping.done():
                    break
                with pair.start("--mode", "0666") as process:
                    process.read_line(pair.deadlines.ready)  # empty if the server refuses, which is also correct
                    process.terminate()
                    process.wait(pair.deadlines.stop)
        finally:
            done.set()
        expect("a private folder was replaced", swapping.result(), True)


def _serves_with_a_warning(pair: Pair) -> None:
    with pair.serving("--trust-folder") as server:
        pair.greets()
        server.process.terminate()
        ends(server.process, pair.deadlines.stop, "the server to stop after SIGTERM")
        warning = server.process.stderr_tail()
    expect(f"stderr names the folder ({warning!r})", str(pair.folder) in warning, True)


def _refuses_foreign_lock_files(pair: Pair, victim: Path) -> None:
    lock = lock_of(pair.socket)
    secret = victim / "secret"
    pair.socket.unlink()
    faults: tuple[Callable[[], object], ...] = (
        lambda: lock.symlink_to(secret),
        lambda: lock.hardlink_to(secret),
        lambda: os.mkfifo(lock),
        lock.mkdir,
    )
    for fault in faults:
        lock.unlink()
        fault()
        pair.refuses("listen.lock_not_regular")
    lock.rmdir()
    if os.geteuid() == 0:  # only root can create a file of another user
        lock.touch()
        os.chown(lock, _STRANGER, _STRANGER)
        pair.refuses("listen.lock_owner")
        lock.unlink()


@contextmanager
def _unchanged(victim: Path) -> Iterator[None]:
    """Fail unless a folder and the empty file in it stay unchanged."""
    secret = victim / "secret"
    secret.touch(mode=0o640)
    names, mode = names_in(victim), victim.stat().st_mode
    yield
    expect("files in the other folder", names_in(victim), names)
    expect("mode of the other folder", victim.stat().st_mode, mode)
    expect("mode of a file in the other folder", stat.S_IMODE(secret.stat().st_mode), 0o640)
    expect("size of a file in the other folder", secret.stat().st_size, 0)


def _private(pair: Pair) -> Path:
    """Return the start of the path of a private folder, as PROTOCOL.md defines it."""
    digest = hashlib.sha256(os.fsencode(pair.socket.name)).hexdigest()
    return pair.folder / f".{digest[:8]}"


def _swap_private_folder(pair: Pair, victim: Path, done: threading.Event) -> bool:
    """Replace the first private folder that appears with a symbolic link. Return whether that happened."""
    beginning = _private(pair).name
    while not done.is_set():
        for each in pair.folder.glob(f"{beginning}*"):
            with suppress(OSError):
                each.rename(pair.folder / "was")
                each.symlink_to(victim)
                return True
    return False


CASES = {case.__name__: case for case in (hostile_folder, private_folder_is_swapped)}
"""The cases by name, in the order of the report."""
