"""Whose turn it is among the workers of a run: one beside the other, or one alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """Two locks that the workers share: who wants to be alone keeps the others at the door until they have left.

    Without the door, workers that come and go beside each other could keep it waiting for ever.

    Args:
        folder: where the lock files are kept.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door = folder / "door.lock"
        self._room = folder / "room.lock"

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Waits until no worker is alone, or waits to be, and keeps it so."""
        with self._room.open("w") as room:
            with _locked(self._door):
                fcntl.flock(room, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other worker has its turn, and keeps it so."""
        with _locked(self._door), _locked(self._room):
            yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
