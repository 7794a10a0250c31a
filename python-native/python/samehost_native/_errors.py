"""The error of a call that failed."""

from typing import Any, NoReturn

import grpc

from samehost_native._common import CODES, SEEN, Future, metadata_of

NO_STATUS: tuple[int, str, Any, int] = (grpc.StatusCode.UNKNOWN.value[0], "the call has no status", [], SEEN)
"""In place of the status of a call that should have ended."""


class CallError(grpc.RpcError, grpc.Call, Future):
    """A call with one response that did not end with OK: what grpc raises, with its code and details."""

    def __init__(self, code: int, details: str, initial: Any, trailing: Any) -> None:
        self._code = CODES.get(code, grpc.StatusCode.UNKNOWN)
        self._details = details
        self._initial = metadata_of(initial)
        self._trailing = metadata_of(trailing)
        super().__init__(f"{self._code.name}: {details}")

    def code(self) -> grpc.StatusCode:
        """As grpc.Call has it."""
        return self._code

    def details(self) -> str:
        """As grpc.Call has it."""
        return self._details

    def initial_metadata(self) -> Any:
        """As grpc.Call has it."""
        return self._initial

    def trailing_metadata(self) -> Any:
        """As grpc.Call has it."""
        return self._trailing

    def debug_error_string(self) -> str:
        """The code and details in one line."""
        return f"{self._code.name}: {self._details}"

    def is_active(self) -> bool:
        """False: the call has ended."""
        return False

    def time_remaining(self) -> Any:
        """None: the call has ended."""
        return None

    def cancel(self) -> bool:
        """False: the call has ended."""
        return False

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return self._code is grpc.StatusCode.CANCELLED

    def running(self) -> bool:
        """False: the call has ended."""
        return False

    def done(self) -> bool:
        """True: the call has ended."""
        return True

    def result(self, timeout: float | None = None) -> NoReturn:
        """Raises this error."""
        raise self

    def exception(self, timeout: float | None = None) -> "CallError":
        """This error."""
        return self

    def traceback(self, timeout: float | None = None) -> Any:
        """The traceback of this error."""
        return self.__traceback__

    def add_callback(self, callback: Any) -> bool:
        """False: the call has ended."""
        return False

    def add_done_callback(self, fn: Any) -> None:
        """Calls it at once: the call has ended."""
        fn(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._code.name}: {self._details!r}>"
