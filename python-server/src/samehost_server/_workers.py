"""The threads in which a synchronous server runs its handlers."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

_LOG = logging.getLogger("samehost_server")

_Task = tuple["futures.Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Workers(futures.ThreadPoolExecutor):
    """A pool of threads that end with the process, whatever they do.

    ThreadPoolExecutor has its threads joined when the interpreter ends, so that one handler which waits for something
    that never comes keeps a stopped server's process alive. It is the base only because grpc insists on its type.

    Args:
        most: how many threads there may be; each is made when it is needed.
        name: the beginning of their names.
    """

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._most = most
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._made = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "futures.Future[Any]":
        """As futures.Executor has it; grpc calls it in one thread only."""
        future: futures.Future[Any] = futures.Future()
        self._tasks.put((future, function, args, kwargs))
        if not self._free.acquire(blocking=False) and self._made < self._most:
            thread = threading.Thread(target=self._work, name=f"{self._name}_{self._made}", daemon=True)
            try:
                thread.start()
                self._made += 1
            except RuntimeError:  # the system has none left; the task waits for a thread that is there, or the next one
                _LOG.warning("no thread could be started for a call, which waits; raise the limit on tasks (ulimit -u)")
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Lets the threads end when they are idle; it never waits for them, nor cancels what they do."""
        del wait, cancel_futures
        self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            future, function, args, kwargs = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    future.set_exception(error)
            del task, future, function, args, kwargs  # otherwise the last call's messages live until the next
            self._free.release()
        self._tasks.put(None)  # for the next thread
