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
"""A grace that does not end: 11 days."""

_ABANDONED: list[object] = []
"""Servers whose loop ended before they stopped, as grpc hangs when the last reference to one goes (grpcio 1.85.1)."""


class Server(ServerBase):
    """Serves gRPC on a Unix domain socket, in the event loop that starts it.

    ```python
    async with aio.Server("unix:/run/app/app.sock", [GreeterService()]) as server:
        await server.wait()
    ```

    Arguments, errors and behavior are those of samehost_server.Server; the servicers' methods are
    written with `async def`, and the interceptors are instances of grpc.aio.ServerInterceptor.
    """

    _asynchronous = True
    _server: grpc.aio.Server | None = None
    _is_grpc_started = False

    async def start(self) -> None:
        """Serves, and then lets the socket be found at its path; raises as samehost_server.Server.start does."""
        self._begin()
        try:
            self._server = self._engine.aio_server(self._interceptors)
            self._add_services(self._server, self._health, self._limit)
            if not self._asked:
                self._engine.listen(self._server, await self._claim(), self.address.path)
            if not self._asked:
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
        """Waits until the server has stopped, by SIGTERM, SIGINT, `stop`, `request_stop` or a takeover.

        A signal stops all servers of this process, side by side, and a second one at once. Handlers that the program
        has for it are called too, the loop's as well, and are there again afterwards.

        Args:
            announce: print the ready line on stdout, now that a signal can't go by unheard.
            signals: listen to signals, which works where the loop runs in the main thread only; else they are left
                alone.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
            StateError: the server was never started, its start failed, or it runs in another loop.
        """
        self._refuse_to_wait()
        self._refuse_another_loop()
        with STOP.listening() if signals else contextlib.nullcontext():
            if announce and not self._asked:
                print(self.ready_line, flush=True)
            await self._over.wait()
        self._raise_removal()

    async def stop(self, *, at_once: bool = False) -> None:
        """Stops, and returns when nothing is left, as samehost_server.Server.stop does; a cancelled one goes on.

        In a handler, and in tasks that one has started, it does not wait, as that would be for the handler itself.

        Args:
            at_once: cut off the calls in progress.

        Raises:
            StateError: the server runs in another loop; `request_stop` can be called from there.
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
        """Claims the path in a thread, as a predecessor may take seconds to hand it over."""
        claiming = self._loop.run_in_executor(None, lambda: self._file.claim(takeover=self._takeover))
        return await _to_its_end(claiming)

    async def _keep(self) -> None:
        """What the keeper does, a task of the server's own: it watches over the path, and ends the server."""
        try:
            while not self._asked:
                await self._pause(WATCH_SECONDS)
                self._look_for_path()
            await self._drain()
        except asyncio.CancelledError:
            # A loop that ends without a stop cancels all tasks, grpc's among them. Then grpc must be left alone: its
            # shutdown writes into memory that these tasks have freed (grpcio 1.85.1).
            self._abandon_grpc()
            raise
        finally:
            self._end(State.STOPPED)

    def _abandon_grpc(self) -> None:
        """Keeps grpc's server, without the attribute that its finalizer would shut down in the loop that has ended."""
        _ABANDONED.extend((self._server, vars(self._server).pop("_server", None)))

    async def _give_up(self) -> None:
        """Ends a start that failed."""
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
        self._over.set()

    async def _end_calls(self, server: grpc.aio.Server) -> None:
        # One stop lets calls finish, and another cuts them off. A stop whose grace ends cancels the calls of a server
        # that another may have ended in the same turn of the loop, and crashes, as one with a grace of 0 does
        # (grpcio 1.85.1).
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
            self._leave_grpc()

    async def _pause(self, seconds: float) -> None:
        """Returns when it is woken, or when the time is over."""
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
                f"the server of {self.address.path} runs in the event loop that started it, not in this one; "
                f"wait for it and stop it there, or call request_stop from anywhere"
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
    """Does what can't be undone halfway; a cancellation meanwhile is raised when it has ended."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # the caller gives back what it still got, and nobody need hear of its failure
        raise
