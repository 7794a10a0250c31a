"""The threads that run the handlers of a synchronous server."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

_LOG = logging.getLogger("samehost_server")

_Task = tuple["futures.Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Workers(futures.ThreadPoolExecutor):
    """A pool of threads that never keep the process alive.

    The interpreter joins the threads of a ThreadPoolExecutor at exit, so that a handler that never returns would keep
    the process of a stopped server alive. It is the base class only because grpc requires its type.

    Args:
        most: the maximum number of threads. Each is started when it is needed.
        name: the prefix of their names.
    """

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._most = most
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._made = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "futures.Future[Any]":
        """Implements futures.Executor. grpc calls it in one thread only."""
        future: futures.Future[Any] = futures.Future()
        self._tasks.put((future, function, args, kwargs))
        if not self._free.acquire(blocking=False) and self._made < self._most:
            thread = threading.Thread(target=self._work, name=f"{self._name}_{self._made}", daemon=True)
            try:
                thread.start()
                self._made += 1
            except RuntimeError:  # the limit of the system; the task waits for another thread
                _LOG.warning("cannot start a thread, so a call has to wait; raise the limit on tasks (ulimit -u)")
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Lets the threads end when they are idle. Never waits for them and never cancels tasks."""
        del wait, cancel_futures
        self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            future, function, args, kwargs = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - the caller gets it
                    future.set_exception(error)
            del task, future, function, args, kwargs  # otherwise they keep the messages of the last call in memory
            self._free.release()
        self._tasks.put(None)  # for the next thread
