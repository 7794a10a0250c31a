"""Lets the workers of a run run in parallel, or one of them alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """Two locks that the workers share.

    A worker that needs to be alone takes the first lock, the door, so that no other worker can start. Without it,
    parallel workers could keep it waiting forever.

    Args:
        folder: the folder of the lock files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door = folder / "door.lock"
        self._room = folder / "room.lock"

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Wait until no worker is alone or waits to be alone. None can be until this context ends."""
        with self._room.open("w") as room:
            with _locked(self._door):
                fcntl.flock(room, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other worker runs. None can start until this context ends."""
        with _locked(self._door), _locked(self._room):
            yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
