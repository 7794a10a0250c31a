"""Runs gRPC's client images against our servers, with one container for the server and one for the client."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from samehost_interop.cells import Cell
from samehost_interop.client import CaseResult
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import MissingToolchainError, NotAskedError, PeerError
from samehost_interop.official import certificates
from samehost_interop.official.containers import GROUP, SOCKET, Engine, Image, NotAvailableError, mounts
from samehost_interop.official.rows import OfficialClient, Reach, Stage, Tls
from samehost_interop.peers import Peer

_TAIL_CHARACTERS = 4000
_BRIDGE_DOCKERFILE = "interop/harness/Dockerfile"
_BRIDGE = ["python", "-m", "samehost_interop.official.bridge"]


@dataclass(frozen=True)
class RunningServer:
    """A server in its container."""

    name: str
    container: Container
    volume: str
    tls_folder: Path | None
    ready: Mapping[str, Any]


class OfficialRunner:
    """Return the result of one cell at a time. Start the container of a server or client when a cell first needs it.

    A client's container runs the next case of the same client and server too, unless a case failed in it. So the
    remains of a failed case cannot affect another case.

    Args:
        clients: the official clients by name.
        servers: the peers by name.
        root: the root of the repository, to build the images of the servers.
        run: the id of the run.
        deadlines: how long to wait for servers.
    """

    def __init__(
        self,
        clients: Mapping[str, OfficialClient],
        servers: Mapping[str, Peer],
        root: Path,
        run: str,
        deadlines: Deadlines,
    ) -> None:
        self._clients = clients
        self._servers = servers
        self._root = root
        self._run = run
        self._deadlines = deadlines
        self._engine: Engine | None = None
        self._server_stack, self._client_stack = ExitStack(), ExitStack()
        self._server: RunningServer | PeerError | None = None
        self._serves: tuple[str, str] | None = None
        self._client: tuple[str, Container] | None = None

    def result(self, cell: Cell) -> CaseResult:
        """Return the result of a cell.

        Raises:
            NotAskedError: the client does not implement the case, or its optional image is not available.
            MissingToolchainError: the client's image or the Docker engine is not available.
            PeerError: the server cannot be built or started, or has died.
        """
        client = self._clients[cell.client]
        if reason := client.unknown.get(cell.case):
            raise NotAskedError(f"this client does not know the case: {reason}")
        try:
            engine = self._get_engine()
            image = self._image(engine, client)
        except NotAvailableError as error:
            if client.optional:
                raise NotAskedError(str(error)) from error
            raise MissingToolchainError(str(error)) from error
        return self._run_case(engine, client, image, cell.case, self._get_server(engine, cell.server, client))

    def alone(self, cell: Cell) -> CaseResult:
        """Run a cell again, with a server of its own."""
        self.stop()
        return self.result(cell)

    def ready(self, cell: Cell) -> list[dict[str, str]]:
        """Return name and version of the cell's server, from its ready line, and of the client, from its image."""
        engine, client = self._get_engine(), self._clients[cell.client]
        server = self._get_server(engine, cell.server, client)
        image = self._image(engine, client)
        return [
            {"name": server.name, **{key: str(server.ready[key]) for key in ("implementation", "version")}},
            {"name": client.name, "implementation": image.identity, "version": image.version},
        ]

    def stop(self) -> None:
        """Stop the running server and its client."""
        self._stop_client()
        self._server = None
        self._serves = None
        self._server_stack.close()

    def _stop_client(self) -> None:
        self._client = None
        self._client_stack.close()

    def abandon(self) -> None:
        """Stop everything. The suite's `clean` removes what is left of a killed run by its label."""
        self.stop()

    def _image(self, engine: Engine, client: OfficialClient) -> Image:
        if isinstance(client.image, Stage):
            identity = engine.build(self._root, client.image.dockerfile, client.image.target)
            return Image(reference=identity, identity=identity, version=f"built from {client.image.dockerfile}")
        return engine.find_or_pull(client.image)

    def _get_engine(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(self._run)
        return self._engine

    def _get_server(self, engine: Engine, name: str, client: OfficialClient) -> RunningServer:
        """Return the server of that name, with a certificate for the client. Stop another running server first."""
        serves = (name, client.name if client.tls else "")
        if serves != self._serves:
            self.stop()
            self._serves = serves
            try:
                self._server = self._server_stack.enter_context(self._serving(engine, self._servers[name], client))
            except PeerError as error:
                self._server = error
        if not isinstance(self._server, RunningServer):
            assert self._server is not None  # noqa: S101 - set above
            raise self._server.with_traceback(None)
        return self._server

    @contextmanager
    def _serving(self, engine: Engine, peer: Peer, client: OfficialClient) -> Iterator[RunningServer]:
        image = engine.build(self._root, str(Path(peer.folder.name) / peer.dockerfile))
        command = [*peer.container, "serve", "--socket", SOCKET]
        with ExitStack() as stack:
            folder = stack.enter_context(self._certificates(engine, client, client.tls)) if client.tls else None
            if folder:
                command += ["--certificate", certificates.CERTIFICATE, "--key", certificates.KEY]
            volume = stack.enter_context(engine.volume())
            container = stack.enter_context(engine.confined(image, command, volume, tls_folder=folder))
            ready = engine.wait_for_ready(peer.name, container, self._deadlines.ready)
            # A second name of the socket for clients that append a port to the path.
            linked = container.exec_run(["ln", "-s", SOCKET.rpartition("/")[2], f"{SOCKET}:0"])
            if linked.exit_code != 0:
                raise PeerError(f"{peer.name}: cannot create a link to {SOCKET}: {linked.output!r}")
            yield RunningServer(peer.name, container, volume, folder, ready)

    @contextmanager
    def _certificates(self, engine: Engine, client: OfficialClient, tls: Tls) -> Iterator[Path]:
        """Create a folder with a server certificate that this client trusts."""
        if not tls.certificates:
            with certificates.made_for_the_run() as folder:
                yield folder
            return
        image = self._image(engine, client).reference
        with engine.idle(image, working_dir=client.folder, network_mode="none") as container:
            printed = engine.execute(container, ["bash", "-c", tls.certificates], self._deadlines.container).log
        with certificates.out_of(printed) as folder:
            yield folder

    def _get_client(self, engine: Engine, client: OfficialClient, image: Image, server: RunningServer) -> Container:
        """Return the container of the client. Remove another client's container first."""
        if self._client is None or self._client[0] != client.name:
            self._stop_client()
            self._client = client.name, self._client_stack.enter_context(self._calling(engine, client, image, server))
        return self._client[1]

    @contextmanager
    def _calling(
        self, engine: Engine, client: OfficialClient, image: Image, server: RunningServer
    ) -> Iterator[Container]:
        with ExitStack() as stack:
            network = "none"
            if client.reach is Reach.BRIDGE:
                built = engine.build(self._root, _BRIDGE_DOCKERFILE)
                bridge = stack.enter_context(
                    engine.confined(built, ["--socket", SOCKET], server.volume, mode="ro", entrypoint=_BRIDGE)
                )
                engine.wait_for_ready("the bridge", bridge, self._deadlines.ready)
                network = f"container:{bridge.id}"
            yield stack.enter_context(
                engine.idle(
                    image.reference,
                    working_dir=client.folder,
                    network_mode=network,
                    group_add=[str(GROUP)],
                    volumes=mounts(server.volume, "ro", server.tls_folder),
                )
            )

    def _run_case(
        self, engine: Engine, client: OfficialClient, image: Image, case: str, server: RunningServer
    ) -> CaseResult:
        host, port = ("127.0.0.1", 8080) if client.reach is Reach.BRIDGE else (f"unix://{SOCKET}", 0)
        with ExitStack() as on_failure:
            on_failure.callback(self._stop_client)
            container = self._get_client(engine, client, image, server)
            started = time.monotonic()
            command = ["bash", "-c", client.command_line(case, host, port)]
            finished = engine.execute(container, command, self._deadlines.container)
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            if finished.code == 0:
                on_failure.pop_all()
        log = finished.log.strip()[-_TAIL_CHARACTERS:]
        if not engine.is_running(server.container, self._deadlines.ready):
            output = server.container.logs().decode(errors="replace").strip()[-_TAIL_CHARACTERS:]
            self.stop()  # so that the next case starts a new server
            raise PeerError(f"server {server.name} exited during {case}; output:\n{output}\nclient output:\n{log}")
        if finished.code is None:
            return CaseResult(
                passed=False,
                detail=f"still ran after {self._deadlines.container:g} s; output:\n{log}",
                ms=milliseconds,
            )
        if finished.code != 0:
            detail = f"exit code of the client: expected 0, got {finished.code}; output:\n{log}"
            return CaseResult(passed=False, detail=detail, ms=milliseconds)
        return CaseResult(passed=True, detail="", ms=milliseconds)
