"""The synchronous server."""

import threading
from concurrent import futures
from types import TracebackType
from typing import Self

import grpc

from samehost_server._base import ServerBase
from samehost_server._health import Health
from samehost_server._limit import REFUSING_WORKERS, Limit
from samehost_server._wakeups import STOP_SIGNALS, Wakeups


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
        group: name or number of the group that owns the socket; by default the process's own.
        takeover: where a server has the path, take it over: that server hands its lock over, drains and goes,
            and its clients notice nothing. Its `grace` must outlast its longest call.
        on_removed: what to do when someone removes the path or puts something else there, so that no client that
            connects finds the server: `serve` what is in progress, and say so in the log; or `stop`, with
            RemovedError from `wait`, so that whoever supervises it starts it again.
        grace: seconds that calls in progress have to finish when the server stops.
        max_connection_age: seconds after which a client is moved to a new connection, which it does
            without losing a call. It is what makes a stop, a restart or a takeover harmless: when its path is gone,
            the server serves on until no client is connected, for 1.3 of them at most.
        max_concurrent_calls: calls in progress, health checks not counted, beyond which a call is
            refused at once with RESOURCE_EXHAUSTED.
        max_message_bytes: the longest message in either direction; a longer one is refused with
            RESOURCE_EXHAUSTED.
        certificate: file of a PEM certificate chain, to serve TLS; with `key`, the file of its PEM key.
        key: see `certificate`.
        with_health: serve grpc.health.v1.Health, which knows every service by its name.
        with_reflection: serve grpc.reflection.v1alpha.ServerReflection.
        interceptors: grpc server interceptors, in front of the limit on calls in progress.
        options: further channel arguments of grpc, which win over those that the server sets.

    Raises:
        AddressError: the address is none.
        OptionError: another option can't be.
    """

    implementation = "grpcio"
    _asynchronous = False
    _server: grpc.Server | None = None
    _wakeups: Wakeups | None = None

    def start(self) -> None:
        """Serves, and then lets the socket be found at its path.

        Raises:
            SocketInUseError: another server owns the path.
            NotASocketError: something other than a socket is at the path.
            BindError: the folder is missing or not writable, or the system refuses the socket.
            ServiceError: something is no servicer, or has asyncio methods.
        """
        self._asked = threading.Event()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._health = Health(self._statuses)
        self._server = grpc.server(
            futures.ThreadPoolExecutor(self._max_concurrent_calls + REFUSING_WORKERS, "samehost-server"),
            interceptors=[*self._interceptors],
            options=self._options,
        )
        try:
            self._add_services(self._server, self._health, Limit(self._max_concurrent_calls))
            self._bind(self._server)
            self._server.start()
            self._publish()
        except BaseException:
            self.stop(at_once=True)
            raise

    def wait(self, *, announce: bool = False) -> None:
        """Serves until SIGTERM, SIGINT, `stop` or a takeover, then drains; a second signal stops at once.

        Signals are only listened to in the main thread, and only here.

        Args:
            announce: print the ready line on stdout, now that a signal can't go by unheard.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
        """
        with Wakeups() as wakeups:
            self._wakeups = wakeups
            if announce:
                print(self.ready_line, flush=True)
            while not self._asked.is_set() and wakeups.next() not in STOP_SIGNALS:
                pass
            # In a thread of its own, so that this one can hear a second signal meanwhile.
            draining = threading.Thread(target=self.stop)
            draining.start()
            while not self._stopped.is_set():
                if wakeups.next() in STOP_SIGNALS:
                    self.stop(at_once=True)
            draining.join()
        if self._removal:
            raise self._removal

    def stop(self, *, at_once: bool = False) -> None:
        """Stops, and returns when nothing is left: the path is removed, calls finish within the grace.

        Health says NOT_SERVING, the path is removed, clients are moved away by the age of their
        connections, and calls that are still in progress have `grace` seconds. Where no client is connected, that
        takes milliseconds. Safe from any thread, and again: a call with `at_once` cuts short one that drains.
        """
        if self._server is None or self._stopped.is_set():
            return
        self._ask()
        if at_once:
            self._hurry.set()
        try:
            self._health.end()
            self._withdraw()
            for pause in self._pauses():
                if self._hurry.wait(pause):
                    break
            self._server.stop(0 if self._hurry.is_set() else self._grace).wait()
        finally:
            self._stopped.set()
            self._wake()

    def _ask(self) -> None:
        self._asked.set()
        self._wake()

    def _wake(self) -> None:
        if self._wakeups is not None:
            self._wakeups.wake()

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
