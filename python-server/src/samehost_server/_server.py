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
    """Serves gRPC on a Unix domain socket, with one thread for each call in progress.

    ```python
    with Server("unix:/run/app/app.sock", [GreeterService()]) as server:
        server.wait()
    ```

    Args:
        address: `unix:/absolute/path` or the path; at most 107 bytes.
        services: servicers. Each is an instance of a class that is derived from a generated `...Servicer`.
        mode: the permissions of the socket. A client needs *write* permission to connect (unix(7)).
        group: the name or number of the group of the socket. The default is the group of the process or, in a set-gid
            folder, the group of the folder.
        trust_folder: serve in a folder that every user can write to. Every user can then replace the socket. Without
            this option, such a folder is refused, unless its sticky bit is set.
        takeover: replace a server that runs on the path. That server hands its lock over, drains and stops, and its
            clients notice nothing. Its `grace` has to be longer than its longest call.
        on_removed: what to do when the path is removed or replaced, so that new clients cannot find the server. `serve`
            continues with the connected clients and logs a warning. `stop` stops the server and makes `wait` raise
            RemovedError, so that a supervisor restarts it.
        grace: the seconds that calls in progress have to finish when the server stops.
        max_connection_age: the seconds after which a client is moved to a new connection, without losing a call. The
            default is 1. It lets a stop, a restart or a takeover lose no call: after its path is removed, the server
            serves until no client is connected, for at most 1.3 connection ages. The engine `native` does not need
            this, and by default sets no limit.
        max_concurrent_calls: the maximum of calls in progress, not counting health checks and watches. A call beyond it
            is refused at once with RESOURCE_EXHAUSTED.
        max_message_bytes: the maximum length of a message in either direction. A longer one is refused with
            RESOURCE_EXHAUSTED.
        certificate: the file of a PEM certificate chain, to serve TLS. Needs `key`. When one of the TLS files changes,
            new connections use it within about a second. If the files cannot be used, the server continues with the
            old ones and logs a warning.
        key: the file of the unencrypted PEM key of the certificate.
        ca: the file of the PEM certificates of authorities, for mutual TLS: a client needs a certificate of one of
            them.
        credentials: TLS credentials of grpc instead of the files. Only the engine `grpcio` can read them.
        with_health: serve grpc.health.v1.Health, which knows every service by its name; see `set_health`.
        with_reflection: serve grpc.reflection.v1 and v1alpha.
        interceptors: instances of grpc.ServerInterceptor. They run before the limit on calls in progress. They must not
            block, because grpc runs all of them in one thread.
        options: more channel arguments of grpc. They replace those that the server sets.
        engine: `grpcio`, or `native`, which needs samehost-native. The default is the environment variable
            SAMEHOST_ENGINE, else grpcio.

    Raises:
        AddressError: the address is invalid.
        OptionError: an option is out of range or has the wrong type.
    """

    _asynchronous = False
    _server: grpc.Server | None = None
    _workers: Workers
    _health: Health
    _over: Latch

    def start(self) -> None:
        """Starts the server and returns when it accepts calls on the path. A server starts only once.

        If `stop` is called during the start, returns with the server stopped.

        Raises:
            SocketInUseError: another server uses the path.
            NotASocketError: a file that is not a socket exists at the path.
            BindError: the folder is missing, not writable, or writable for every user, or the system cannot create the
                socket.
            ServiceError: a service is not a servicer, has asyncio methods, or is given twice.
            StateError: the server was already started.
        """
        self._begin()
        try:
            self._server = self._engine.server(
                self._interceptors, self._workers, self._max_concurrent_calls + REFUSING_WORKERS
            )
            self._add_services(self._server, self._health, Limit(self._max_concurrent_calls))
            if not self._stop_requested:
                self._engine.listen(self._server, self._file.claim(takeover=self._takeover), self.address.path)
            if not self._stop_requested:
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
        """Waits until the server has stopped after SIGTERM, SIGINT, `stop`, `request_stop` or a takeover.

        The first signal stops all servers of this process at the same time. The second one cuts off the calls in
        progress. Signal handlers of the program are called too, and are restored before `wait` returns.

        Args:
            announce: print the ready line on stdout as soon as signals are handled.
            signals: handle signals. This works only in the main thread; in another one it has no effect.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
            StateError: the server was never started, or its start failed.
        """
        self._refuse_to_wait()
        with STOP.listening() if signals else contextlib.nullcontext():
            if announce and not self._stop_requested:
                print(self.ready_line, flush=True)
            self._wait_until_over()
        self._raise_removal()

    def stop(self, *, at_once: bool = False) -> None:
        """Stops the server and returns when it has stopped.

        Sets health to NOT_SERVING, removes the path, moves the clients away by the age of their connections, and gives
        calls in progress `grace` seconds to finish. This takes milliseconds if no client is connected, and never more
        than `grace` and 1.7 s. Safe from any thread and more than once: a call with `at_once` cuts an earlier one
        short. In the thread of a handler it does not wait, because it would wait for itself.

        Args:
            at_once: cut off the calls in progress.
        """
        if self._state is State.NEW:
            return
        self.request_stop(at_once=at_once)
        if not (METHOD.get() or self._is_starting_here()):
            self._wait_until_over()

    def _wait_until_over(self) -> None:
        # Python runs a signal handler between two instructions of the main thread. If the signal arrives just before
        # the thread starts to wait, it is handled only when the thread wakes up.
        while self._state not in (State.STOPPED, State.FAILED) and not self._over.wait(WATCH_SECONDS):
            pass

    def _is_starting_here(self) -> bool:
        """Whether the caller is a signal handler that interrupted `start`, which has to continue to stop the server."""
        return not self._is_kept and self._starter == threading.get_ident()

    def _prepare(self) -> None:
        self._starter = threading.get_ident()
        self._is_kept = False
        self._ending = threading.Lock()
        """Held while the keeper or a failed start ends the server."""
        self._wakeup = Wakeup()
        self._over = Latch()
        self._workers = Workers(self._max_concurrent_calls + REFUSING_WORKERS, "samehost-server")
        self._health = Health(self._statuses)

    def _keep(self) -> None:
        """Runs the keeper, a thread that checks the path and ends the server."""
        with self._ending:
            if self._state in (State.STOPPED, State.FAILED):
                return  # the start was interrupted just after it started this thread
            try:
                while not self._stop_requested:
                    self._wakeup.wait(WATCH_SECONDS)
                    self._check_files()
                self._drain()
            finally:
                self._end(State.STOPPED)

    def _give_up(self) -> None:
        """Ends a failed start, unless the keeper ends it."""
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
        self._server = None  # its descriptors are closed now, and not when the garbage collector runs
        self._over.open()
        self._wakeup.close()

    def _end_calls(self, server: grpc.Server) -> None:
        ended = server.stop(self._grace_left)
        for pause in self._pauses_of_grace():
            if ended.wait(pause):
                return
        server.stop(0)
        if not ended.wait(END_SECONDS):
            self._log_unfinished_grpc()

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
