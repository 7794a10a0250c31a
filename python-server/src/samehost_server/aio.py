"""The asyncio server: `samehost_server.aio.Server` is to `samehost_server.Server` as `grpc.aio` is to `grpc`."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import grpc

from samehost_server._base import ServerBase
from samehost_server._health import AsyncHealth
from samehost_server._limit import AsyncLimit

__all__ = ["Server"]


class Server(ServerBase):
    """Serves gRPC on a Unix domain socket, in the event loop that starts it.

    ```python
    async with aio.Server("unix:/run/app/app.sock", [GreeterService()]) as server:
        await server.wait()
    ```

    Arguments, errors and behavior are those of samehost_server.Server; the servicers' methods are
    written with `async def`.
    """

    implementation = "grpcio-aio"
    _asynchronous = True
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Serves, and then lets the socket be found at its path; raises as samehost_server.Server.start does."""
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopped = asyncio.Event()
        self._health = AsyncHealth(self._statuses)
        self._server = grpc.aio.server(
            interceptors=self._interceptors,
            options=self._options,
        )
        try:
            self._add_services(self._server, self._health, AsyncLimit(self._max_concurrent_calls))
            self._bind(self._server)
            await self._server.start()
            self._loop = asyncio.get_running_loop()
            self._publish()
        except BaseException:
            await self.stop(at_once=True)
            raise

    async def wait(self, *, announce: bool = False) -> None:
        """Serves until SIGTERM, SIGINT, `stop` or a takeover, then drains; a second signal stops at once.

        Signals are only listened to where the loop runs in the main thread, and only here.

        Args:
            announce: print the ready line on stdout, now that a signal can't go by unheard.

        Raises:
            RemovedError: the path was removed or replaced, and `on_removed` is `stop`.
        """
        with self._signals():
            if announce:
                print(self.ready_line, flush=True)
            await self._asked.wait()
            await self.stop()
        if self._removal:
            raise self._removal

    async def stop(self, *, at_once: bool = False) -> None:
        """Stops, and returns when nothing is left, as samehost_server.Server.stop does; call it in the loop."""
        if self._server is None or self._stopped.is_set():
            return
        self._asked.set()
        if at_once:
            self._hurry.set()
        self._health.end()
        self._withdraw()
        for pause in self._pauses():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause)
                break
        await self._server.stop(0 if self._hurry.is_set() else self._grace)
        self._stopped.set()

    def _ask(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the server
            self._loop.call_soon_threadsafe(self._asked.set)

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

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        stops: set[asyncio.Task[None]] = set()

        def on_signal() -> None:
            if self._asked.is_set():
                stops.add(loop.create_task(self.stop(at_once=True)))
            self._asked.set()

        heard = []
        with contextlib.suppress(RuntimeError, ValueError):  # not the main thread
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, on_signal)
                heard.append(number)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
