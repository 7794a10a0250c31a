"""The error of a call that failed."""

from typing import Any, NoReturn

import grpc

from samehost_native._common import CODES, LOG, SEEN, Future, metadata_of

NOT_SERIALIZED = "Exception serializing request!"
"""The details of a call whose request cannot be serialized, as in grpcio. The log has the reason."""

NOT_DESERIALIZED = "Exception deserializing response!"
"""The details of a call whose response cannot be deserialized, as in grpcio. The log has the reason."""

NO_STATUS: tuple[int, str, Any, int] = (grpc.StatusCode.UNKNOWN.value[0], "the call has no status", [], SEEN)
"""The status of an ended call for which the engine has no status."""


class CallError(grpc.RpcError, grpc.Call, Future):
    """A call failed. It has the code and details, as the errors of grpcio do."""

    def __init__(self, code: int, details: str, initial: Any, trailing: Any) -> None:
        self._code = CODES.get(code, grpc.StatusCode.UNKNOWN)
        self._details = details
        self._initial = metadata_of(initial)
        self._trailing = metadata_of(trailing)
        super().__init__(f"{self._code.name}: {details}")

    def code(self) -> grpc.StatusCode:
        """See grpc.Call."""
        return self._code

    def details(self) -> str:
        """See grpc.Call."""
        return self._details

    def initial_metadata(self) -> Any:
        """See grpc.Call."""
        return self._initial

    def trailing_metadata(self) -> Any:
        """See grpc.Call."""
        return self._trailing

    def debug_error_string(self) -> str:
        """Returns the code and details in one line."""
        return f"{self._code.name}: {self._details}"

    def is_active(self) -> bool:
        """Returns False, because the call has ended."""
        return False

    def time_remaining(self) -> Any:
        """Returns None, because the call has ended."""
        return None

    def cancel(self) -> bool:
        """Returns False, because the call has ended."""
        return False

    def cancelled(self) -> bool:
        """Returns whether the call was cancelled."""
        return self._code is grpc.StatusCode.CANCELLED

    def running(self) -> bool:
        """Returns False, because the call has ended."""
        return False

    def done(self) -> bool:
        """Returns True, because the call has ended."""
        return True

    def result(self, timeout: float | None = None) -> NoReturn:
        """Raises this error."""
        raise self

    def exception(self, timeout: float | None = None) -> "CallError":
        """Returns this error."""
        return self

    def traceback(self, timeout: float | None = None) -> Any:
        """Returns the traceback of this error."""
        return self.__traceback__

    def add_callback(self, callback: Any) -> bool:
        """Returns False, because the call has ended."""
        return False

    def add_done_callback(self, fn: Any) -> None:
        """Calls the callback at once, because the call has ended."""
        fn(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._code.name}: {self._details!r}>"


def invalid_metadata(error: Exception) -> CallError:
    """Returns the error of a call whose metadata HTTP/2 cannot carry. The code is INTERNAL, as in grpcio."""
    return CallError(grpc.StatusCode.INTERNAL.value[0], str(error), (), ())


def deserialized(message: bytes, deserializer: Any) -> Any:
    """Returns a response from its bytes.

    Raises:
        CallError: that failed. The code is INTERNAL, as in grpcio.
    """
    try:
        return deserializer(message) if deserializer else message
    except Exception as error:
        LOG.error("cannot deserialize a response", exc_info=error)
        raise CallError(grpc.StatusCode.INTERNAL.value[0], NOT_DESERIALIZED, (), ()) from error
