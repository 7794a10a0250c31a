"""The asyncio server: `samehost_server.aio.Server` is to `samehost_server.Server` as `grpc.aio` is to `grpc`."""

import asyncio
import contextlib
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

import grpc

from samehost_common import SocketAddress
from samehost_server._base import END_SECONDS, WATCH_SECONDS, ServerBase, State
from samehost_server._health import AsyncHealth
from samehost_server._limit import AsyncLimit
from samehost_server.errors import StateError
from samehost_server.signals import STOP

__all__ = ["Server"]

_Result = TypeVar("_Result")

_ENDLESS_SECONDS = 1e6
"""A grace that never ends in practice: 11 days."""

_ABANDONED: list[object] = []
"""Servers whose loop ended before they stopped. grpc hangs when the last reference to one ends (grpcio 1.85.1)."""


class Server(ServerBase):
    """Serves gRPC on a Unix domain socket in the event loop that starts it.

    ```python
    async with aio.Server("unix:/run/app/app.sock", [GreeterService()]) as server:
        await server.wait()
    ```

    Arguments, errors and behavior are those of samehost_server.Server. The methods of the servicers are written with
    `async def`, and the interceptors are instances of grpc.aio.ServerInterceptor.
    """

    _asynchronous = True
    _server: grpc.aio.Server | None = None
    _is_grpc_started = False

    async def start(self) -> None:
        """Starts the server and returns when it accepts calls. Raises the errors of samehost_server.Server.start."""
        self._begin()
        try:
            self._server = self._engine.aio_server(self._interceptors)
            self._add_services(self._server, self._health, self._limit)
            if not self._stop_requested:
                self._engine.listen(self._server, await self._claim(), self.address.path)
            if not self._stop_requested:
                self._is_grpc_started = True
                await _to_its_end(self._server.start())
                self._publish()
        except BaseException:
            await self._give_up()
            raise
        self._keeper = self._loop.create_task(self._keep(), name="samehost-keeper")
        if self._state is not State.SERVING:
            await self._over.wait()

    async def wait(self, *, announce: bool = False, signals: bool = True) -> None:
        """Waits until the server has stopped after SIGTERM, SIGINT, `stop`, `request_stop` or a takeover.

        The first signal stops all servers of this process at the same time. The second one cuts off the calls in
        progress. Signal handlers of the program and of the loop are called too, and are restored before `wait` returns.

        Args:
            announce: print the ready line on stdout as soon as signals are handled.
            signals: handle signals. This works only if the loop runs in the main thread; otherwise it has no effect.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
            StateError: the server was never started, its start failed, or it runs in another loop.
        """
        self._refuse_to_wait()
        self._refuse_another_loop()
        with STOP.listening() if signals else contextlib.nullcontext():
            if announce and not self._stop_requested:
                print(self.ready_line, flush=True)
            await self._over.wait()
        self._raise_removal()

    async def stop(self, *, at_once: bool = False) -> None:
        """Stops the server as samehost_server.Server.stop does. A cancellation does not cancel the stop.

        In a handler, and in tasks that a handler started, it does not wait, because it would wait for itself.

        Args:
            at_once: cut off the calls in progress.

        Raises:
            StateError: the server runs in another loop. Call `request_stop` there instead.
        """
        if self._state in (State.NEW, State.STOPPED, State.FAILED):
            return
        self._refuse_another_loop()
        self.request_stop(at_once=at_once)
        if not self._limit.is_in_handler():
            await self._over.wait()

    def _prepare(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._over = asyncio.Event()
        self._health = AsyncHealth(self._statuses)
        self._limit = AsyncLimit(self._max_concurrent_calls)

    async def _claim(self) -> SocketAddress:
        """Claims the path in a thread, because a predecessor may take seconds to hand it over."""
        claiming = self._loop.run_in_executor(None, lambda: self._file.claim(takeover=self._takeover))
        return await _to_its_end(claiming)

    async def _keep(self) -> None:
        """Runs the keeper, a task that checks the path and ends the server."""
        try:
            while not self._stop_requested:
                await self._pause(WATCH_SECONDS)
                self._check_files()
            await self._drain()
        except asyncio.CancelledError:
            # A loop that ends without a stop cancels all tasks, including those of grpc. A shutdown of grpc would then
            # write into memory that these tasks have freed (grpcio 1.85.1).
            self._abandon_grpc()
            raise
        finally:
            self._end(State.STOPPED)

    def _abandon_grpc(self) -> None:
        """Keeps the server of grpc, without the attribute that its finalizer would shut down in the ended loop."""
        _ABANDONED.extend((self._server, vars(self._server).pop("_server", None)))

    async def _give_up(self) -> None:
        """Ends a failed start."""
        self.request_stop(at_once=True)
        try:
            await self._drain()
        finally:
            self._end(State.FAILED)

    async def _drain(self) -> None:
        self._health.end()
        self._begin_to_drain()
        for pause in self._pauses():
            await self._pause(pause)
        if self._server and self._is_grpc_started:
            await self._end_calls(self._server)

    def _open(self) -> None:
        self._server = None  # its descriptors are closed now, and not when the garbage collector runs
        self._over.set()

    async def _end_calls(self, server: grpc.aio.Server) -> None:
        # One stop with an endless grace lets the calls finish, and another one cuts them off. A single stop is not
        # enough: at the end of its grace it cancels the calls of a server that may have ended in the same turn of the
        # loop, and crashes. A grace of 0 crashes too (grpcio 1.85.1).
        stopping = []
        if self._grace_left:
            stopping.append(asyncio.ensure_future(server.stop(_ENDLESS_SECONDS)))
        for pause in self._pauses_of_grace():
            await asyncio.wait(stopping, timeout=pause)
            if stopping[0].done():
                break
        if not (stopping and stopping[0].done()):
            stopping.append(asyncio.ensure_future(server.stop(None)))
        done, still = await asyncio.wait(stopping, timeout=END_SECONDS)
        for each in done:
            each.result()
        if still:
            self._log_unfinished_grpc()

    async def _pause(self, seconds: float) -> None:
        """Waits for a wake, or until the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    def _tell_health(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._health.tell)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._woken.set)

    def _refuse_another_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise StateError(
                f"cannot use the server of {self.address.path} here: it runs in another event loop; "
                f"use it there, or call request_stop, which works everywhere"
            )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def _to_its_end(work: Awaitable[_Result]) -> _Result:
    """Awaits work that cannot be interrupted. A cancellation is raised after the work has ended."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # marks a failure as seen; the caller undoes the work
        raise
