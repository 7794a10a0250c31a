"""The context of a call for its handler."""

import contextlib
import ssl
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from samehost_native._common import LOG, encoding_name, metadata_of
from samehost_native._engine import MetadataError, ServerCall

INVALID_METADATA = "Invalid metadata"
"""The details of a call whose handler sets metadata that HTTP/2 cannot carry, as in C-core. The log has the reason."""

_OK = grpc.StatusCode.OK
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]

_IDENTITIES = ("x509_subject_alternative_name", "x509_common_name", "peer_uid")
"""The keys of `auth_context` that may identify a client, the best one first."""


class AbortError(Exception):
    """The handler aborted its call."""


class Answer:
    """The answer to a call, for synchronous and asyncio handlers."""

    def __init__(self, call: ServerCall, compression: grpc.Compression | None) -> None:
        self._call = call
        self._compression = compression
        self._encoding: str | None = None
        """The encoding of the response, once its headers have been sent."""
        self._compresses_next = True
        self._code: Any = None
        self._details: str | None = None
        self._trailing: Any = None
        self.is_aborted = False
        self._callbacks: list[Callable[[], None]] = []

    def invocation_metadata(self) -> Any:
        """See grpc.ServicerContext."""
        return metadata_of(self._call.metadata())

    def peer(self) -> str:
        """Returns `unix:`, because a client of a Unix socket has no name."""
        return "unix:"

    def peer_identities(self) -> Any:
        """Returns the values of `peer_identity_key` in `auth_context`."""
        return self.auth_context()[self.peer_identity_key()]

    def peer_identity_key(self) -> str:
        """Returns the key that identifies the client, as grpcio does for TLS: the alternative names of its certificate.

        Without them it is the common name of the certificate. Without a certificate it is the uid of the client.
        """
        context = self.auth_context()
        return next(key for key in _IDENTITIES if key in context)

    def auth_context(self) -> Any:
        """Returns what is known about the client.

        It has the pid, uid and gid of the client at the time when it connected (SO_PEERCRED). With TLS it has the
        properties of the connection and of the client's certificate, as in grpcio.
        """
        pid, uid, gid = self._call.peer_credentials()
        context = {"peer_pid": [str(pid)], "peer_uid": [str(uid)], "peer_gid": [str(gid)]}
        if self._call.is_encrypted():
            context["transport_security_type"] = ["ssl"]
            context["security_level"] = ["TSI_PRIVACY_AND_INTEGRITY"]
        if found := self._call.peer_certificate():
            certificate, (subject, common_name, alternative_names) = found
            context["x509_subject"] = [subject]
            context["x509_pem_cert"] = [ssl.DER_cert_to_PEM_cert(certificate)]
            if common_name is not None:
                context["x509_common_name"] = [common_name]
            if alternative_names:
                context["x509_subject_alternative_name"] = alternative_names
        return {key: [value.encode() for value in values] for key, values in context.items()}

    def set_compression(self, compression: grpc.Compression) -> None:
        """Sets the compression of the responses. Call it before the first message."""
        self._compression = compression

    def disable_next_message_compression(self) -> None:
        """See grpc.ServicerContext."""
        self._compresses_next = False

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """See grpc.ServicerContext."""
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Any:
        """See grpc.ServicerContext."""
        return self._trailing

    def set_code(self, code: Any) -> None:
        """See grpc.ServicerContext."""
        self._code = code

    def set_details(self, details: str) -> None:
        """See grpc.ServicerContext."""
        self._details = details

    def code(self) -> Any:
        """See grpc.ServicerContext."""
        return self._code

    def details(self) -> Any:
        """See grpc.ServicerContext."""
        return self._details

    def time_remaining(self) -> Any:
        """Returns the seconds until the deadline, or None without a deadline."""
        return self._call.time_remaining()

    def set_abort(self, code: grpc.StatusCode, details: str) -> None:
        """Sets the status of a call that the handler aborts."""
        if code is _OK:
            # As in grpcio, an abort is always a failure.
            code, details = grpc.StatusCode.UNKNOWN, ""
        self._code, self._details, self.is_aborted = code, details, True

    def _begin(self, metadata: Any = None, *, flush: bool) -> None:
        encoding = encoding_name(self._compression)
        try:
            self._call.send_initial(metadata, encoding, flush)
        except MetadataError as error:
            LOG.error("cannot send initial metadata", exc_info=error)
            self.set_abort(grpc.StatusCode.INTERNAL, INVALID_METADATA)
            raise AbortError from error
        self._encoding = encoding

    def _compresses(self) -> bool:
        compresses, self._compresses_next = self._compresses_next, True
        return compresses and self._encoding != "identity"

    def finish(self, message: bytes | None) -> None:
        """Sends the status that the handler has set. If it is OK, sends the last message first."""
        number = self._number()
        compresses = False
        if number == 0 and message is not None:
            if self._encoding is None and self._compression:
                self._begin(flush=False)
            compresses = self._encoding is not None and self._compresses()
        else:
            message = None
        details = _text(self._details) if number else ""
        try:
            self._call.finish(number, details, self._trailing, message, compresses)
        except MetadataError as error:
            LOG.error("cannot send trailing metadata", exc_info=error)
            self._call.finish(grpc.StatusCode.INTERNAL.value[0], INVALID_METADATA, None, None, False)

    def _number(self) -> int:
        """Returns the number of the status. A code that is not a grpc.StatusCode is UNKNOWN, as in grpcio."""
        if self._code is None:
            return 0
        number: int = self._code.value[0] if isinstance(self._code, grpc.StatusCode) else _UNKNOWN
        return number

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """Sends a status instead of the one that the handler has set."""
        self._code, self._details = code, details
        self.finish(None)


def _text(details: Any) -> str:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details or ""


class Context(Answer, grpc.ServicerContext):
    """The context of a synchronous handler.

    Args:
        call: the call in the engine.
        compression: compression of the response. The handler can change it.
        watch: schedules `run_callbacks` for the end of the call. Returns False if the call has ended.
    """

    def __init__(
        self, call: ServerCall, compression: grpc.Compression | None, watch: Callable[["Context", ServerCall], bool]
    ) -> None:
        super().__init__(call, compression)
        self._watch = watch

    def is_active(self) -> bool:
        """See grpc.ServicerContext."""
        return self._call.is_active()

    def cancel(self) -> bool:
        """See grpc.ServicerContext."""
        self.fail(grpc.StatusCode.CANCELLED, "CANCELLED")
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """See grpc.ServicerContext."""
        self._callbacks.append(callback)
        if self._watch(self, self._call):
            return True
        with contextlib.suppress(ValueError):  # another thread may have run it
            self._callbacks.remove(callback)
        return False

    def run_callbacks(self) -> None:
        """Calls the callbacks of `add_callback` after the call has ended."""
        with contextlib.suppress(IndexError):
            while True:
                self._callbacks.pop(0)()

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """See grpc.ServicerContext."""
        if self._encoding is not None:
            raise ValueError("cannot send initial metadata: they were already sent")
        self._begin(initial_metadata, flush=True)

    def raised(self, what: str, error: Exception) -> None:
        """Sends the status of an exception. As in grpcio, a code and details that the handler has set have priority."""
        code = grpc.StatusCode.UNKNOWN if self._code in (None, _OK) else self._code
        self.fail(code, self._details or f"{what}: {error}")

    def send(self, message: bytes) -> bool:
        """Sends a message of a stream. Returns False if the call has ended."""
        if self._encoding is None:
            self._begin(flush=False)
        return self._call.send(message, self._compresses())

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """See grpc.ServicerContext."""
        self.set_abort(code, details)
        raise AbortError

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """See grpc.ServicerContext."""
        self._trailing = status.trailing_metadata
        self.abort(status.code, status.details)
