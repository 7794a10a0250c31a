"""Containers, images and volumes of one run, all labelled with the run, so that nothing of it is left behind."""

import functools
import json
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from samehost_interop.errors import PeerError
from samehost_interop.official import certificates

LABEL = "samehost.interop.run"
"""The label of all that a run makes; its value is the run's id."""

FOLDER = "/run/samehost"
"""Where containers have the volume."""

SOCKET = f"{FOLDER}/server.sock"
GROUP = 10000
"""The group that servers and clients share, as in docker-compose.yml."""

_REMOVAL_SECONDS = 20.0
"""For an engine that is busy; an idle one takes a fraction of a second."""

_CONFINED = {"network_mode": "none", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "read_only": True}


class NotAvailableError(PeerError):
    """An image can't be had, or there is no Docker engine; the message says why."""


@dataclass(frozen=True)
class Image:
    """An image that is here: its digest, or its id where it was made here, and the version of the client in it."""

    reference: str
    identity: str
    version: str


@dataclass(frozen=True)
class Finished:
    """A command that has ended, or was killed at its deadline: then the exit code is None."""

    code: int | None
    log: str


class Engine:
    """A Docker engine as one run uses it.

    Args:
        run: the id of the run.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._found: dict[str, Image | NotAvailableError] = {}
        try:
            self._client = docker.from_env(timeout=600)
            self._client.ping()
        except DockerException as error:
            raise NotAvailableError(
                f"needs a Docker engine, which did not answer: {error}; see docs.docker.com/engine/install"
            ) from error

    def find_or_pull(self, reference: str) -> Image:
        """Finds an image here, or pulls it; asked again, it says the same.

        Raises:
            NotAvailableError: it is not here and can't be pulled.
        """
        if reference not in self._found:
            self._found[reference] = self._find_or_pull(reference)
        found = self._found[reference]
        if isinstance(found, NotAvailableError):
            raise found.with_traceback(None)
        return found

    def _find_or_pull(self, reference: str) -> Image | NotAvailableError:
        try:
            image = self._client.images.get(reference)
        except ImageNotFound:
            try:
                image = self._client.images.pull(reference)
            except APIError as error:
                return NotAvailableError(f"not available: {reference}: {error.explanation or error}")
        digests = image.attrs.get("RepoDigests") or []
        tag = reference.rpartition(":")[2]
        # An image that was made here may have any client under that tag; what it has, only its labels can say.
        version = tag if digests else ", ".join(image.labels.values()) or tag
        return Image(reference, digests[0] if digests else str(image.id), version)

    @functools.cache  # noqa: B019 - one engine a run
    def build(self, root: Path, dockerfile: str, target: str | None = None) -> str:
        """Builds an image from the root of the repository, up to a stage or whole, and returns its id.

        Raises:
            PeerError: the build fails.
        """
        try:
            image, _ = self._client.images.build(
                path=str(root), dockerfile=dockerfile, target=target, rm=True, forcerm=True
            )
        except BuildError as error:
            said = "".join(str(line.get("stream", "")) for line in error.build_log)
            raise PeerError(f"{dockerfile}: {error.msg}\n{said[-4000:]}") from error
        except (APIError, TypeError, OSError) as error:
            raise PeerError(f"cannot build {dockerfile}: {error}") from error
        return str(image.id)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """A fresh named volume in memory, which the server's user may write to and the group may enter."""
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"uid=10001,gid={GROUP},mode=0750"}
        volume = self._client.volumes.create(driver="local", driver_opts=options, labels=self._labels)
        try:
            yield volume.name
        finally:
            with suppress(APIError):  # a container that Ctrl-C came in the midst of may use it; see remove_all
                volume.remove(force=True)

    @contextmanager
    def running(self, image: str, command: Sequence[str], **options: Any) -> Iterator[Container]:
        """A container that runs, and is removed at the end, whatever it does."""
        try:
            container = self._client.containers.run(image, list(command), detach=True, labels=self._labels, **options)
        except (APIError, ImageNotFound) as error:
            raise PeerError(f"cannot start {image}: {error.explanation or error}") from error
        try:
            yield container
        finally:
            with suppress(NotFound):
                container.remove(force=True, v=True)

    @contextmanager
    def confined(
        self,
        image: str,
        command: Sequence[str],
        volume: str,
        *,
        mode: str = "rw",
        tls_folder: Path | None = None,
        **options: Any,
    ) -> Iterator[Container]:
        """A container of ours: no network, no capabilities, nothing to write to but the volume."""
        volumes = mounts(volume, mode, tls_folder)
        with self.running(image, command, volumes=volumes, user=f"10001:{GROUP}", **_CONFINED, **options) as container:
            yield container

    def idle(self, image: str, **options: Any) -> AbstractContextManager[Container]:
        """A container that does nothing until `execute` runs commands in it."""
        return self.running(image, ["sleep", "infinity"], **options)

    def execute(self, container: Container, command: Sequence[str], seconds: float) -> Finished:
        """Run a command in a running container, and wait until it ends.

        At the deadline the container is killed as a whole, because Docker cannot kill one command and its children.

        Raises:
            PeerError: the container does not run.
        """
        pace, expired = threading.Event(), threading.Event()

        def expire() -> None:
            expired.set()
            with suppress(APIError):
                container.kill()

        timer = threading.Timer(seconds, expire)
        timer.start()
        try:
            execution = self._client.api.exec_create(container.id, list(command))["Id"]
            log: bytes = self._client.api.exec_start(execution)
            # A command may close its output before it ends.
            while (state := self._client.api.exec_inspect(execution))["Running"] and not expired.is_set():
                pace.wait(0.05)
        except APIError as error:
            raise PeerError(f"cannot run {shlex.join(command)} in a container: {error.explanation or error}") from error
        finally:
            timer.cancel()
            timer.join()
        return Finished(None if expired.is_set() else state["ExitCode"], log.decode(errors="replace"))

    def is_running(self, container: Container, seconds: float) -> bool:
        """Whether a container runs: it runs a command, because the state that Docker reports is a moment old."""
        with suppress(PeerError):
            return self.execute(container, ["true"], seconds).code == 0
        return False

    def wait_for_ready(self, name: str, container: Container, seconds: float) -> dict[str, Any]:
        """Reads a container's first line of stdout, which is the ready line.

        Raises:
            PeerError: it is something else, or not there in time.
        """
        line = _first_line(container, seconds)
        with suppress(ValueError):
            ready = json.loads(line)
            if isinstance(ready, dict) and ready.get("event") == "ready":
                return ready
        log = container.logs().decode(errors="replace").strip()
        raise PeerError(f"{name} was not ready within {seconds:g} s; it said: {log}")

    def remove_all(self) -> None:
        """Removes what the run has left, and what the engine is still making for it: a volume in use tells of that."""
        labelled: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={self._run}"}
        pace, deadline = threading.Event(), time.monotonic() + _REMOVAL_SECONDS
        while True:
            for container in self._client.containers.list(all=True, filters=labelled):
                with suppress(APIError):
                    container.remove(force=True, v=True)
            for volume in self._client.volumes.list(filters=labelled):
                with suppress(APIError):
                    volume.remove(force=True)
            if not self._client.volumes.list(filters=labelled) or time.monotonic() > deadline:
                return
            pace.wait(0.1)

    @property
    def _labels(self) -> dict[str, str]:
        return {LABEL: self._run}


def mounts(volume: str, mode: str, tls_folder: Path | None) -> dict[str, dict[str, str]]:
    """The volume and, where there is one, the folder of certificates, as the SDK takes them."""
    mounted = {volume: {"bind": FOLDER, "mode": mode}}
    if tls_folder:
        mounted[str(tls_folder)] = {"bind": certificates.FOLDER, "mode": "ro"}
    return mounted


def _first_line(container: Container, seconds: float) -> str:
    """The first line of stdout, or what there is of it at the deadline or at the container's end."""
    pace = threading.Event()
    deadline = time.monotonic() + seconds
    ended = False
    while True:
        text = container.logs(stdout=True, stderr=False).decode(errors="replace")
        if "\n" in text or ended or time.monotonic() > deadline:
            return text.partition("\n")[0]
        container.reload()
        ended = container.status not in {"created", "running"}
        pace.wait(0.05)
