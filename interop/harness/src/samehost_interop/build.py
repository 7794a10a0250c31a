"""Prepares a peer: checks its toolchain, and runs its build commands once."""

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from samehost_interop.child_process import ChildProcess
from samehost_interop.errors import MissingToolchainError, PeerError
from samehost_interop.peers import Peer


def check_toolchain(peer: Peer) -> None:
    """Check that the commands that build and run a peer are on PATH.

    Raises:
        MissingToolchainError: a command is not on PATH.
    """
    for command in peer.needs:
        if shutil.which(command) is None:
            raise MissingToolchainError(
                f"{peer.name}: the command {command!r} is not on PATH; install it, or leave this peer out"
            )


class Builds:
    """The builds of one run of the matrix, which its workers share through a folder.

    Args:
        folder: the folder of the locks and results.
        run: the id of the run, which all of its workers share.
        seconds: the deadline of one build command.
    """

    def __init__(self, folder: Path, run: str, seconds: float) -> None:
        self._folder = folder
        self._run = run
        self._seconds = seconds
        self._outcomes: dict[str, PeerError | None] = {}

    def prepare(self, peer: Peer) -> None:
        """Check the toolchain and build, unless another worker or peer of this run has run the same commands.

        Raises:
            MissingToolchainError: a command that the peer needs is not on PATH.
            PeerError: a build command failed.
        """
        if peer.name not in self._outcomes:
            self._outcomes[peer.name] = self._outcome(peer)
        if error := self._outcomes[peer.name]:
            raise error.with_traceback(None)

    def _outcome(self, peer: Peer) -> PeerError | None:
        try:
            check_toolchain(peer)
        except MissingToolchainError as error:
            return error
        fault = self._build_once(peer) if peer.build else ""
        return PeerError(f"{peer.name}: {fault}") if fault else None

    def _build_once(self, peer: Peer) -> str:
        """Build under a lock. The lock file keeps the id of the run and the fault for later workers."""
        key = hashlib.sha256(json.dumps([str(peer.folder), peer.build]).encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / f"{key}.json", os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(ValueError):  # the file is new, or a run was killed while writing it
                kept = json.load(file)
                if kept["run"] == self._run:
                    return str(kept["fault"])
            fault = self._build(peer)
            file.seek(0)
            file.truncate()
            json.dump({"run": self._run, "peer": peer.name, "fault": fault}, file)
        return fault

    def _build(self, peer: Peer) -> str:
        """Run the commands, and return the fault, or `""` on success."""
        for command in peer.build:
            # Build tools report errors on either stream, so the shell redirects stdout to stderr.
            merged = ("sh", "-c", 'exec "$@" 1>&2', "sh", *command)
            with ChildProcess(merged, peer.folder) as process:
                try:
                    code = process.wait(self._seconds)
                except TimeoutError:
                    return process.explain(f"build command {command} still ran after {self._seconds:g} s")
                if code != 0:
                    return process.explain(f"build command {command} exited with code {code}")
        return ""
