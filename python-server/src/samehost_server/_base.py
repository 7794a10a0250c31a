"""The code that the synchronous and the asyncio server share: everything that does not await."""

import enum
import grp
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import grpc
from grpc_health.v1 import health_pb2_grpc

from samehost_common import AddressLike, OptionError, SocketAddress
from samehost_common.options import MOST_BYTES, MOST_INT, as_list, check_number, instances
from samehost_server import _failures, _processwide
from samehost_server._engine import make_engine
from samehost_server._health import SERVICE_NAME as HEALTH
from samehost_server._health import Statuses
from samehost_server._limit import CallLimit, LimitedServer
from samehost_server._reflection import SERVICE_NAMES as REFLECTION
from samehost_server._reflection import add_reflection
from samehost_server._services import add_services
from samehost_server._socket_file import SocketFile
from samehost_server._tls import TlsFiles, server_tls
from samehost_server.errors import RemovedError, ServiceError, StateError
from samehost_server.signals import STOP

_LOG = logging.getLogger("samehost_server")

_MOST_CALLS = 10_000
"""The maximum of max_concurrent_calls, because a synchronous server has a thread for each call."""

_MOST_GROUP = 2**32 - 2
"""The largest group. The next number means "no change" (chown(2))."""

_BEYOND_GRACE_SECONDS = 1.2
"""The time that a stop may take beyond the grace: enough to move all clients at the default connection age."""

END_SECONDS = 0.5
"""The timeout for grpc to end when no call is in progress. It takes a millisecond."""

_LOOK_SECONDS = 0.01
"""The interval of checks whether a client is connected. A check takes 35 microseconds with 7 open descriptors."""

_PAUSE_FACTOR = 9
"""A pause takes at least this many times as long as a check, so that checks take at most a tenth of the time, even with
many open descriptors."""

_QUIET_LOOKS = 2
"""How many checks in a row must find no client. A single one may fall between accept(2) and the new descriptor."""

WATCH_SECONDS = 1.0
"""The interval of checks of the path and of the TLS files. Waiting clients connect about as often."""


class State(enum.Enum):
    """The states of a server, in their order. It is FAILED if `start` raised an error."""

    NEW = "new"
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class ServerBase:
    """The checked options of a server, and its life cycle. Server documents the options."""

    implementation: str
    _asynchronous: bool

    def __init__(
        self,
        address: AddressLike,
        services: Iterable[object],
        *,
        mode: int = 0o660,
        group: str | int | None = None,
        trust_folder: bool = False,
        takeover: bool = False,
        on_removed: Literal["serve", "stop"] = "serve",
        grace: float = 5.0,
        max_connection_age: float | None = None,
        max_concurrent_calls: int = 100,
        max_message_bytes: int = 4 * 1024 * 1024,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        ca: str | os.PathLike[str] | None = None,
        credentials: grpc.ServerCredentials | None = None,
        with_health: bool = True,
        with_reflection: bool = True,
        interceptors: Sequence[Any] = (),
        options: Sequence[tuple[str, Any]] = (),
        engine: str | None = None,
    ) -> None:
        self.address = SocketAddress.parse(address)
        _check_mode(mode)
        check_number("grace", grace, 0, MOST_INT)
        check_number("max_concurrent_calls", max_concurrent_calls, 1, _MOST_CALLS, whole=True)
        check_number("max_message_bytes", max_message_bytes, 1, MOST_BYTES, whole=True)
        if on_removed not in ("serve", "stop"):
            raise OptionError(f"invalid on_removed {on_removed!r}: use 'serve' or 'stop'")
        tls = server_tls(certificate, key, ca, credentials)
        self._tls_files = tls if isinstance(tls, TlsFiles) else None
        self._engine = make_engine(
            engine,
            max_connection_age=max_connection_age,
            max_message_bytes=max_message_bytes,
            tls=tls.pems if isinstance(tls, TlsFiles) else tls,
            options=options,
        )
        self.implementation = f"{self._engine.implementation}{'-aio' * self._asynchronous}"
        self.version = self._engine.version
        self._file = SocketFile(
            self.address,
            mode=mode,
            gid=_group_id(group),
            trust_folder=trust_folder,
            owner=f"{self.implementation} {self.version}",
        )
        self._services = as_list("services", services)
        self._statuses = Statuses()
        self._max_concurrent_calls = max_concurrent_calls
        kind = grpc.aio.ServerInterceptor if self._asynchronous else grpc.ServerInterceptor
        which = f"grpc.{'aio.' * self._asynchronous}ServerInterceptor"
        self._interceptors = instances("interceptors", interceptors, (kind,), which)
        self._with_health = with_health
        self._with_reflection = with_reflection
        self._takeover = takeover
        self._stops_when_removed = on_removed == "stop"
        self._removal: RemovedError | None = None
        self._grace = grace
        self._state = State.NEW
        self._changing = threading.Lock()
        """Held while the state changes, because any thread may change it."""
        self._stop_requested = False
        """Whether a stop was requested."""
        self._without_grace = False
        """Whether a stop without grace was requested."""
        self._entry = _processwide.RunningServer(
            stop=lambda at_once: self.request_stop(at_once=at_once), leave=self._file.withdraw, forget=self._forget
        )

    @property
    def ready_line(self) -> str:
        """The line of JSON that a program prints when calls succeed, as PROTOCOL.md defines it."""
        return json.dumps(
            {
                "event": "ready",
                "address": str(self.address),
                "pid": os.getpid(),
                "implementation": self.implementation,
                "version": self.version,
            }
        )

    def request_stop(self, *, at_once: bool = False) -> None:
        """Requests a stop and returns at once. Safe in handlers, in signal handlers and from any thread.

        Has no effect before `start`.

        Args:
            at_once: cut off the calls in progress.
        """
        if self._state is not State.NEW:
            if at_once:
                self._without_grace = True
            self._stop_requested = True
            self._wake()

    def set_health(self, service: str = "", *, serving: bool) -> None:
        """Sets the health of a service, for example when its database is down. Safe from any thread.

        Checks and watches of grpc.health.v1 report it at once. The server still answers calls of the service.

        Args:
            service: the full name, `package.Service`. The empty name stands for the whole server.
            serving: True for SERVING, False for NOT_SERVING.

        Raises:
            OptionError: the server has no such service.
            StateError: the server has not started.
        """
        if self._state in (State.NEW, State.STARTING, State.FAILED):
            raise StateError(
                f"cannot set the health of the server of {self.address.path}: it is {self._state.value}; "
                f"set it after the start"
            )
        self._statuses.set(service, serving=serving)
        self._tell_health()

    def _tell_health(self) -> None:
        """Notifies the watches of health. Called in any thread."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Makes the first step of `start`."""
        with self._changing:
            if self._state is not State.NEW:
                raise StateError(
                    f"cannot start the server of {self.address.path}: it is {self._state.value}, "
                    f"and a server starts only once; create another one"
                )
            self._prepare()
            self._state = State.STARTING
        _processwide.register(self._entry)
        _failures.pass_on()
        if STOP.received:
            self._stop_requested = True

    def _prepare(self) -> None:
        """Creates the objects that `stop` needs."""
        raise NotImplementedError

    def _publish(self) -> None:
        self._file.publish(self.request_stop)
        self._state = State.SERVING

    def _refuse_to_wait(self) -> None:
        if self._state in (State.NEW, State.FAILED):
            raise StateError(
                f"cannot wait for the server of {self.address.path}: it is {self._state.value}; start a server first"
            )

    def _begin_to_drain(self) -> None:
        self._state = State.DRAINING
        self._grace_ends_at = time.monotonic() + self._grace + _BEYOND_GRACE_SECONDS
        self._file.withdraw()

    def _pauses(self) -> Iterator[float]:
        """Yields pauses in seconds until no client is connected or all clients have been moved."""
        end = min(time.monotonic() + self._engine.moved_within, self._grace_ends_at)
        quiet = 0
        while not self._without_grace and (begun := time.monotonic()) < end:
            quiet = 0 if self._file.has_client() else quiet + 1
            if quiet == _QUIET_LOOKS:
                return
            now = time.monotonic()
            yield max(0.0, min(end - now, max(_LOOK_SECONDS, _PAUSE_FACTOR * (now - begun))))

    @property
    def _grace_left(self) -> float:
        return 0 if self._without_grace else max(0, self._grace_ends_at - time.monotonic())

    def _pauses_of_grace(self) -> Iterator[float]:
        """Yields pauses in seconds until the grace of the calls in progress ends."""
        while self._grace_left:
            yield _LOOK_SECONDS

    def _log_unfinished_grpc(self) -> None:
        _LOG.error("grpc did not end within the grace of the server of %s and keeps its resources", self.address.path)

    def _end(self, state: State) -> None:
        """Makes the last step of every server that was started."""
        try:
            self._file.withdraw()
        finally:
            self._state = state
            _processwide.unregister(self._entry)
            self._open()

    def _open(self) -> None:
        """Releases all that wait for the end of the server."""
        raise NotImplementedError

    def _check_files(self) -> None:
        """Checks the path and the TLS files, which others may change while the server runs."""
        self._check_path()
        self._check_tls_files()

    def _check_tls_files(self) -> None:
        """Uses changed TLS files for new connections. If they cannot be used, logs that."""
        try:
            if self._tls_files and (pems := self._tls_files.changed()):
                self._engine.renew_tls(pems)
                _LOG.info("the server of %s uses the changed TLS files for new connections", self.address.path)
        except OptionError as error:
            _LOG.warning("the server of %s continues with its old certificate: %s", self.address.path, error)

    def _check_path(self) -> None:
        """Checks the path. If it was removed, logs that or requests a stop, depending on `on_removed`."""
        if self._removal or not self._file.is_lost():
            return
        self._removal = RemovedError(
            f"the socket {self.address.path} was removed or replaced, and new clients cannot connect; "
            f"start the server again"
        )
        if self._stops_when_removed:
            self.request_stop()
        else:
            _LOG.warning("%s", self._removal)

    def _raise_removal(self) -> None:
        if self._removal and self._stops_when_removed:
            raise self._removal

    def _wake(self) -> None:
        """Wakes the keeper, which then reads the requests. Called in any thread and in signal handlers."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Leaves everything to the parent, in a forked child."""
        self._file.forget()
        self._changing = threading.Lock()
        self._state = State.STOPPED

    def _add_services(
        self,
        server: grpc.Server | grpc.aio.Server,
        health_servicer: health_pb2_grpc.HealthServicer,
        limit: CallLimit,
    ) -> None:
        """Adds the services with the limit on calls, then health and reflection."""
        limited: Any = LimitedServer(server, limit)
        names = add_services(limited, self._services, asynchronous=self._asynchronous)
        own = [HEALTH] * self._with_health + [*REFLECTION] * self._with_reflection
        if clash := next((name for name in names if name in own), None):
            option = "with_health" if clash == HEALTH else "with_reflection"
            raise ServiceError(f"cannot serve {clash}: the server has its own; set {option}=False to serve yours")
        if self._with_health:
            self._statuses.serve(["", *names])
            health_pb2_grpc.add_HealthServicer_to_server(health_servicer, limited)
        if self._with_reflection:
            shown = [*names, HEALTH] if self._with_health else names
            add_reflection(limited, shown, asynchronous=self._asynchronous)


def _check_mode(mode: object) -> None:
    if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= 0o777:
        shown = f"{mode:#o} ({mode:d} in decimal)" if isinstance(mode, int) else repr(mode)
        raise OptionError(f"invalid mode {shown}: use 0o000 to 0o777, such as 0o660")


def _group_id(group: str | int | None) -> int | None:
    if group is None:
        return None
    if not isinstance(group, str):
        check_number("group", group, 0, _MOST_GROUP, whole=True)
        return group
    if group.isdecimal():
        return _group_id(int(group))
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise OptionError(f"invalid group {group!r}: no such group exists; create it or use a number") from error
