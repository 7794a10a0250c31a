"""What a server owes to a folder that others may write to; README.md beside this file says why each matters."""

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
"""How many starts an attacker gets to replace a private folder, which may be there for a tenth of a millisecond."""

_STRANGER = 65534
"""The uid of nobody."""


def hostile_folder(pair: Pair) -> None:
    """A server refuses a folder that every user may write to, and changes nothing that a stranger put there."""
    victim = pair.folder / "victim"
    victim.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(victim / "other.sock"))
    pair.folder.chmod(0o777)
    pair.refuses("listen.shared_folder")
    expect("what is in the folder after the refusal", names_in(pair.folder), {"victim"})
    with _unchanged(victim):
        _serves_with_a_warning(pair)
        pair.folder.chmod(0o1777)
        lock_of(pair.socket).chmod(0o666)
        Path(f"{_private(pair)}00000000").symlink_to(victim)
        with pair.serving():
            pair.greets()
            expect(
                "mode of a lock file that others could hold", stat.S_IMODE(lock_of(pair.socket).stat().st_mode), 0o600
            )
        _refuses_foreign_lock_files(pair, victim)


def private_folder_is_swapped(pair: Pair) -> None:
    """A stranger who replaces the private folder while a server starts does not reach other folders through it."""
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
                    process.read_line(pair.deadlines.ready)  # empty where it refuses, which is as good
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
    expect(f"the folder is named on stderr ({warning!r})", str(pair.folder) in warning, True)


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
    if os.geteuid() == 0:  # only root can make a file of another user
        lock.touch()
        os.chown(lock, _STRANGER, _STRANGER)
        pair.refuses("listen.lock_owner")
        lock.unlink()


@contextmanager
def _unchanged(victim: Path) -> Iterator[None]:
    """Fails unless a folder and an empty file in it are as they were."""
    secret = victim / "secret"
    secret.touch(mode=0o640)
    names, mode = names_in(victim), victim.stat().st_mode
    yield
    expect("what is in the folder of somebody else", names_in(victim), names)
    expect("mode of the folder of somebody else", victim.stat().st_mode, mode)
    expect("mode of a file of somebody else", stat.S_IMODE(secret.stat().st_mode), 0o640)
    expect("size of a file of somebody else", secret.stat().st_size, 0)


def _private(pair: Pair) -> Path:
    """How the path of a private folder begins, as PROTOCOL.md has it."""
    digest = hashlib.sha256(os.fsencode(pair.socket.name)).hexdigest()
    return pair.folder / f".{digest[:8]}"


def _swap_private_folder(pair: Pair, victim: Path, done: threading.Event) -> bool:
    """Puts a symbolic link in the place of the first private folder that it sees, unless it is told to end before."""
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
