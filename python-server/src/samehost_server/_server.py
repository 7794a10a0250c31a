"""The synchronous server."""

import contextlib
import threading
from types import TracebackType
from typing import Self

import grpc

from samehost_server._base import END_SECONDS, WATCH_SECONDS, ServerBase, State
from samehost_server._failures import METHOD
from samehost_server._health import Health
from samehost_server._limit import REFUSING_WORKERS, Limit
from samehost_server._wakeups import Latch, Wakeup
from samehost_server._workers import Workers
from samehost_server.signals import STOP


class Server(ServerBase):
    """Serves gRPC on a Unix domain socket, one thread for each call in progress.

    ```python
    with Server("unix:/run/app/app.sock", [GreeterService()]) as server:
        server.wait()
    ```

    Args:
        address: `unix:/absolute/path`, or the path; at most 107 bytes.
        services: servicers, each an instance of a class derived from a generated `...Servicer`.
        mode: permissions of the socket. Connecting takes *write* permission (unix(7)).
        group: name or number of the group that owns the socket; by default the process's own, or that of a set-gid
            folder.
        trust_folder: serve in a folder that every user may write to, where any of them can replace the socket.
            By default it is refused, unless its sticky bit is set.
        takeover: where a server has the path, take it over: that server hands its lock over, drains and goes,
            and its clients notice nothing. Its `grace` must outlast its longest call.
        on_removed: what to do when someone removes the path or puts something else there, so that no client that
            connects finds the server: `serve` what is in progress, and say so in the log; or `stop`, with
            RemovedError from `wait`, so that whoever supervises it starts it again.
        grace: seconds that calls in progress have to finish when the server stops.
        max_connection_age: seconds after which a client is moved to a new connection, which it does without losing a
            call; by default 1. It is what makes a stop, a restart or a takeover harmless: when its path is gone, the
            server serves on until no client is connected, for 1.3 of them at most. The engine `native` needs none.
        max_concurrent_calls: calls in progress, checks and watches of health not counted, beyond which a call is
            refused at once with RESOURCE_EXHAUSTED.
        max_message_bytes: the longest message in either direction; a longer one is refused with
            RESOURCE_EXHAUSTED.
        certificate: file of a PEM certificate chain, to serve TLS; with `key`, the file of its PEM key.
        key: see `certificate`.
        credentials: TLS as grpc makes it, in place of the two files: grpc.ssl_server_credentials with root certificates
            and require_client_auth for mutual TLS, grpc.dynamic_ssl_server_credentials to renew certificates.
        with_health: serve grpc.health.v1.Health, which knows every service by its name; see `set_health`.
        with_reflection: serve grpc.reflection.v1 and v1alpha.
        interceptors: instances of grpc.ServerInterceptor, in front of the limit on calls in progress. They must not
            block, as grpc runs all of them in one thread.
        options: further channel arguments of grpc, which win over those that the server sets.
        engine: `grpcio`, or `native` with samehost-native installed; by default what the environment variable
            SAMEHOST_ENGINE says, else grpcio.

    Raises:
        AddressError: the address is invalid.
        OptionError: an option is out of range or of the wrong type.
    """

    _asynchronous = False
    _server: grpc.Server | None = None
    _workers: Workers
    _health: Health
    _over: Latch

    def start(self) -> None:
        """Serves, and then lets the socket be found at its path; a server is started once.

        Where `stop` is called meanwhile, it returns with the server stopped.

        Raises:
            SocketInUseError: another server owns the path.
            NotASocketError: something other than a socket is at the path.
            BindError: the folder is missing, not writable or writable by every user, or the system refuses the socket.
            ServiceError: something is no servicer, or has asyncio methods.
            StateError: it was started before.
        """
        self._begin()
        try:
            self._server = self._engine.server(
                self._interceptors, self._workers, self._max_concurrent_calls + REFUSING_WORKERS
            )
            self._add_services(self._server, self._health, Limit(self._max_concurrent_calls))
            if not self._asked:
                self._engine.listen(self._server, self._file.claim(takeover=self._takeover), self.address.path)
            if not self._asked:
                self._server.start()
                self._publish()
            threading.Thread(target=self._keep, name="samehost-keeper", daemon=True).start()
        except BaseException:
            self._give_up()
            raise
        self._is_kept = True
        if self._state is not State.SERVING:
            self._over.wait()

    def wait(self, *, announce: bool = False, signals: bool = True) -> None:
        """Waits until the server has stopped, by SIGTERM, SIGINT, `stop`, `request_stop` or a takeover.

        A signal stops all servers of this process, side by side, and a second one at once. Handlers that the program
        has for it are called too, and are there again afterwards.

        Args:
            announce: print the ready line on stdout, now that a signal can't go by unheard.
            signals: listen to signals, which works in the main thread only; else they are left alone.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
            StateError: the server was never started, or its start failed.
        """
        self._refuse_to_wait()
        with STOP.listening() if signals else contextlib.nullcontext():
            if announce and not self._asked:
                print(self.ready_line, flush=True)
            self._wait_until_over()
        self._raise_removal()

    def stop(self, *, at_once: bool = False) -> None:
        """Stops, and returns when nothing is left: the path is removed, calls finish within the grace.

        Health says NOT_SERVING, the path is removed, clients are moved away by the age of their
        connections, and calls that are still in progress have `grace` seconds. Where no client is connected, that
        takes milliseconds, and never more than `grace` and 1.7 s. Safe from any thread, and again: a call with
        `at_once` cuts short one that drains. In the thread of a handler it does not wait, as that would be for itself.

        Args:
            at_once: cut off the calls in progress.
        """
        if self._state is State.NEW:
            return
        self.request_stop(at_once=at_once)
        if not (METHOD.get() or self._is_starting_here()):
            self._wait_until_over()

    def _wait_until_over(self) -> None:
        # Python runs a signal handler between two instructions of the main thread; a signal that comes just as that
        # goes to sleep is only handled when it wakes.
        while self._state not in (State.STOPPED, State.FAILED) and not self._over.wait(WATCH_SECONDS):
            pass

    def _is_starting_here(self) -> bool:
        """Whether this is a signal handler that has interrupted `start`, so that nobody would stop the server."""
        return not self._is_kept and self._starter == threading.get_ident()

    def _prepare(self) -> None:
        self._starter = threading.get_ident()
        self._is_kept = False
        self._ending = threading.Lock()
        """Held by whoever ends the server: the keeper, or a start that fails."""
        self._wakeup = Wakeup()
        self._over = Latch()
        self._workers = Workers(self._max_concurrent_calls + REFUSING_WORKERS, "samehost-server")
        self._health = Health(self._statuses)

    def _keep(self) -> None:
        """What the keeper does, a thread of the server's own: it watches over the path, and ends the server."""
        with self._ending:
            if self._state in (State.STOPPED, State.FAILED):
                return  # the start was interrupted just after it had started this thread
            try:
                while not self._asked:
                    self._wakeup.wait(WATCH_SECONDS)
                    self._look_for_path()
                self._drain()
            finally:
                self._end(State.STOPPED)

    def _give_up(self) -> None:
        """Ends a start that failed, unless the keeper does."""
        self.request_stop(at_once=True)
        with self._ending:
            if self._state in (State.STOPPED, State.FAILED):
                return
            try:
                self._drain()
            finally:
                self._end(State.FAILED)

    def _drain(self) -> None:
        self._health.end()
        self._begin_to_drain()
        for pause in self._pauses():
            self._wakeup.wait(pause)
        if self._server:
            self._end_calls(self._server)

    def _open(self) -> None:
        self._workers.shutdown()
        self._health.close()
        self._over.open()
        self._wakeup.close()

    def _end_calls(self, server: grpc.Server) -> None:
        ended = server.stop(self._grace_left)
        for pause in self._pauses_of_grace():
            if ended.wait(pause):
                return
        server.stop(0)
        if not ended.wait(END_SECONDS):
            self._leave_grpc()

    def _tell_health(self) -> None:
        self._health.tell()

    def _wake(self) -> None:
        self._wakeup.wake()

    def _forget(self) -> None:
        super()._forget()
        self._wakeup.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
