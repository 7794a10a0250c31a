"""Manages the containers, images and volumes of one run. Their label allows to remove all of them."""

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
"""The label of the containers and volumes of a run. Its value is the id of the run."""

FOLDER = "/run/samehost"
"""The mount point of the volume in containers."""

SOCKET = f"{FOLDER}/server.sock"
GROUP = 10000
"""The group that servers and clients share, as in docker-compose.yml."""

_REMOVAL_SECONDS = 20.0
"""How long to retry the removal. An idle engine needs a fraction of a second, a busy one more."""

_CONFINED = {"network_mode": "none", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "read_only": True}


class NotAvailableError(PeerError):
    """An image or the Docker engine is not available."""


@dataclass(frozen=True)
class Image:
    """A local image. `identity` is its digest, or its id if it was built here. `version` is that of its client."""

    reference: str
    identity: str
    version: str


@dataclass(frozen=True)
class Finished:
    """A command that has ended. The exit code is None if it was killed at its deadline."""

    code: int | None
    log: str


class Engine:
    """The Docker engine for one run.

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
                f"the Docker engine does not answer: {error}; install or start it: docs.docker.com/engine/install"
            ) from error

    def find_or_pull(self, reference: str) -> Image:
        """Find a local image, or pull it. Later calls return or raise the same.

        Raises:
            NotAvailableError: there is no local image, and it cannot be pulled.
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
        # The tag of a local build does not tell its version, but its labels may.
        version = tag if digests else ", ".join(image.labels.values()) or tag
        return Image(reference, digests[0] if digests else str(image.id), version)

    @functools.cache  # noqa: B019 - one engine a run
    def build(self, root: Path, dockerfile: str, target: str | None = None) -> str:
        """Build an image from the root of the repository, completely or up to a stage, and return its id.

        Raises:
            PeerError: the build fails.
        """
        try:
            image, _ = self._client.images.build(
                path=str(root), dockerfile=dockerfile, target=target, rm=True, forcerm=True
            )
        except BuildError as error:
            output = "".join(str(line.get("stream", "")) for line in error.build_log)
            raise PeerError(f"{dockerfile}: {error.msg}\n{output[-4000:]}") from error
        except (APIError, TypeError, OSError) as error:
            raise PeerError(f"cannot build {dockerfile}: {error}") from error
        return str(image.id)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """Create a named volume in memory that the server's user can write to and the group can enter."""
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"uid=10001,gid={GROUP},mode=0750"}
        volume = self._client.volumes.create(driver="local", driver_opts=options, labels=self._labels)
        try:
            yield volume.name
        finally:
            with suppress(APIError):  # after Ctrl-C, a container may still use it; see remove_all
                volume.remove(force=True)

    @contextmanager
    def running(self, image: str, command: Sequence[str], **options: Any) -> Iterator[Container]:
        """Run a container, and remove it at the end."""
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
        """Run a container of ours without network and capabilities, which can write only to the volume."""
        volumes = mounts(volume, mode, tls_folder)
        with self.running(image, command, volumes=volumes, user=f"10001:{GROUP}", **_CONFINED, **options) as container:
            yield container

    def idle(self, image: str, **options: Any) -> AbstractContextManager[Container]:
        """Run a container that waits until `execute` runs commands in it."""
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
        """Return whether a container runs. It executes a command, because the state that Docker reports is outdated."""
        with suppress(PeerError):
            return self.execute(container, ["true"], seconds).code == 0
        return False

    def wait_for_ready(self, name: str, container: Container, seconds: float) -> dict[str, Any]:
        """Read the first line of a container's stdout, which is the ready line.

        Raises:
            PeerError: the line is not a ready line, or does not arrive in time.
        """
        line = _first_line(container, seconds)
        with suppress(ValueError):
            ready = json.loads(line)
            if isinstance(ready, dict) and ready.get("event") == "ready":
                return ready
        log = container.logs().decode(errors="replace").strip()
        raise PeerError(f"{name} was not ready within {seconds:g} s; output: {log}")

    def remove_all(self) -> None:
        """Remove all containers and volumes of the run. Retry while a volume is in use, because Docker still works."""
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
    """Return the mounts of the volume and of the folder of certificates, in the format of the Docker SDK."""
    mounted = {volume: {"bind": FOLDER, "mode": mode}}
    if tls_folder:
        mounted[str(tls_folder)] = {"bind": certificates.FOLDER, "mode": "ro"}
    return mounted


def _first_line(container: Container, seconds: float) -> str:
    """Return the first line of stdout, or a part of it at the deadline or at the end of the container."""
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
