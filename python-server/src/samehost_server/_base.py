"""What the synchronous and the asyncio server share: everything but the await."""

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
from samehost_server._tls import server_credentials
from samehost_server.errors import RemovedError, ServiceError, StateError
from samehost_server.signals import STOP

_LOG = logging.getLogger("samehost_server")

_MOST_CALLS = 10_000
"""A synchronous server has a thread for each."""

_MOST_GROUP = 2**32 - 2
"""The largest gid_t; the one above stands for "no change" (chown(2))."""

_BEYOND_GRACE_SECONDS = 1.2
"""What a stop may take beyond the grace: enough to move all clients at the default age, whatever the grace."""

END_SECONDS = 0.5
"""What grpc may take to end when nothing is in progress any more; it takes a millisecond."""

_LOOK_SECONDS = 0.01
"""How often to look whether a client is still connected; a look takes 35 microseconds for 7 open descriptors."""

_PAUSE_FACTOR = 9
"""Looks take a tenth of the time at most, however many descriptors a process has."""

_QUIET_LOOKS = 2
"""How many looks in a row must find no client: one may fall between accept(2) and the new descriptor."""

WATCH_SECONDS = 1.0
"""How often to look whether the path is still there: clients that wait for a server dial about as often."""


class State(enum.Enum):
    """The states of a server, in this order; FAILED is where a start that raised ends."""

    NEW = "new"
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class ServerBase:
    """The options of a server, checked, and its life; see Server for what they mean."""

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
            raise OptionError(f"on_removed is {on_removed!r} and must be 'serve' or 'stop'")
        self._engine = make_engine(
            engine,
            max_connection_age=max_connection_age,
            max_message_bytes=max_message_bytes,
            credentials=server_credentials(certificate, key, credentials),
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
        """Held while the state changes, which any thread may want."""
        self._asked = False
        """Whether it is to stop."""
        self._hurried = False
        """Whether it is to stop at once."""
        self._entry = _processwide.RunningServer(
            stop=lambda at_once: self.request_stop(at_once=at_once), leave=self._file.withdraw, forget=self._forget
        )

    @property
    def ready_line(self) -> str:
        """The line of JSON by which a program says that calls succeed, as PROTOCOL.md has it."""
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
        """Asks the server to stop as `stop` does, and returns at once: for handlers, signal handlers and any thread.

        Before `start` it does nothing.

        Args:
            at_once: cut off the calls in progress.
        """
        if self._state is not State.NEW:
            if at_once:
                self._hurried = True
            self._asked = True
            self._wake()

    def set_health(self, service: str = "", *, serving: bool) -> None:
        """Says of a service that it serves, or that it does not, as when its database is down; callable in any thread.

        Checks and watches of grpc.health.v1 see it at once. Calls are served all the same.

        Args:
            service: the full name, `package.Service`; the empty name stands for the server as a whole.
            serving: SERVING where true, NOT_SERVING where false.

        Raises:
            OptionError: no such service is served.
            StateError: the server has not started.
        """
        if self._state in (State.NEW, State.STARTING, State.FAILED):
            raise StateError(
                f"the server of {self.address.path} is {self._state.value}; set its health while it serves"
            )
        self._statuses.set(service, serving=serving)
        self._tell_health()

    def _tell_health(self) -> None:
        """Lets watches see the statuses; called in any thread."""
        raise NotImplementedError

    def _begin(self) -> None:
        """The first step of `start`."""
        with self._changing:
            if self._state is not State.NEW:
                raise StateError(
                    f"the server of {self.address.path} is {self._state.value}, and a server is started once; "
                    f"make another to serve there again"
                )
            self._prepare()
            self._state = State.STARTING
        _processwide.register(self._entry)
        _failures.pass_on()
        if STOP.heard:
            self._asked = True

    def _prepare(self) -> None:
        """Makes what `stop` needs from now on."""
        raise NotImplementedError

    def _publish(self) -> None:
        self._file.publish(self.request_stop)
        self._state = State.SERVING

    def _refuse_to_wait(self) -> None:
        if self._state in (State.NEW, State.FAILED):
            raise StateError(
                f"there is nothing to wait for: the server of {self.address.path} is {self._state.value}; "
                f"start one first"
            )

    def _begin_to_drain(self) -> None:
        self._state = State.DRAINING
        self._cut_at = time.monotonic() + self._grace + _BEYOND_GRACE_SECONDS
        self._file.withdraw()

    def _pauses(self) -> Iterator[float]:
        """Yields the seconds to wait, one after the other, until no client is connected, or each has been moved."""
        end = min(time.monotonic() + self._engine.moved_within, self._cut_at)
        quiet = 0
        while not self._hurried and (begun := time.monotonic()) < end:
            quiet = 0 if self._file.has_client() else quiet + 1
            if quiet == _QUIET_LOOKS:
                return
            now = time.monotonic()
            yield max(0.0, min(end - now, max(_LOOK_SECONDS, _PAUSE_FACTOR * (now - begun))))

    @property
    def _grace_left(self) -> float:
        return 0 if self._hurried else max(0, self._cut_at - time.monotonic())

    def _pauses_of_grace(self) -> Iterator[float]:
        """Yields the seconds to wait, one after the other, until the calls in progress are to be cut off."""
        while self._grace_left:
            yield _LOOK_SECONDS

    def _leave_grpc(self) -> None:
        _LOG.error("grpc did not end within the grace of the server of %s; it is left behind", self.address.path)

    def _end(self, state: State) -> None:
        """The last step, whatever came before."""
        try:
            self._file.withdraw()
        finally:
            self._state = state
            _processwide.unregister(self._entry)
            self._open()

    def _open(self) -> None:
        """Lets those go on who wait."""
        raise NotImplementedError

    def _look_for_path(self) -> None:
        """Says so, or asks the server to stop, when someone has removed the path."""
        if self._removal or not self._file.is_lost():
            return
        self._removal = RemovedError(
            f"someone has removed {self.address.path}, or put another in its place: no new client finds this server; "
            f"start it again, and leave the file alone"
        )
        if self._stops_when_removed:
            self.request_stop()
        else:
            _LOG.warning("%s", self._removal)

    def _raise_removal(self) -> None:
        if self._removal and self._stops_when_removed:
            raise self._removal

    def _wake(self) -> None:
        """Lets whoever keeps the server see what it is asked for; called in any thread and in signal handlers."""
        raise NotImplementedError

    def _forget(self) -> None:
        """In a forked child, leaves everything to the parent."""
        self._file.forget()
        self._changing = threading.Lock()
        self._state = State.STOPPED

    def _add_services(
        self,
        server: grpc.Server | grpc.aio.Server,
        health_servicer: health_pb2_grpc.HealthServicer,
        limit: CallLimit,
    ) -> None:
        """Adds the services, then health and reflection of them, within the limit."""
        limited: Any = LimitedServer(server, limit)
        names = add_services(limited, self._services, asynchronous=self._asynchronous)
        own = [HEALTH] * self._with_health + [*REFLECTION] * self._with_reflection
        if clash := next((name for name in names if name in own), None):
            option = "with_health" if clash == HEALTH else "with_reflection"
            raise ServiceError(f"{clash} is served by samehost_server already; to serve your own, give {option}=False")
        if self._with_health:
            self._statuses.serve(["", *names])
            health_pb2_grpc.add_HealthServicer_to_server(health_servicer, limited)
        if self._with_reflection:
            shown = [*names, HEALTH] if self._with_health else names
            add_reflection(limited, shown, asynchronous=self._asynchronous)


def _check_mode(mode: object) -> None:
    if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= 0o777:
        shown = oct(mode) if isinstance(mode, int) else repr(mode)
        raise OptionError(f"mode is {shown}; give an octal number from 0o000 to 0o777, as in mode=0o660")


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
        raise OptionError(f"no group is named {group!r} on this machine; create it, or give its number") from error
