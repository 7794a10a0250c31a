"""The channels of both engines."""

from collections.abc import Sequence
from typing import Any

import grpc

from samehost_common import OptionError, SocketAddress
from samehost_common.engine import NATIVE, NO_KEEPALIVE, chosen_engine, keepalive, native_arguments, pems_of
from samehost_common.options import MOST_BYTES, channel_arguments, check_number
from samehost_common.tls import Pems
from samehost_common.transport import CLIENT_OPTIONS
from samehost_common.tuning import keep_core

_INITIAL_BACKOFF_MS = 100
_MAX_BACKOFF_MS = 500
"""The backoff is short because connecting to a socket costs a client microseconds and the server nothing. With grpc's
own backoff of 1 s to 120 s, a server that started after 1.5 s was reached after 2.84 s; with 100 ms, after 1.59 s."""

_RETRY_BUFFER_BYTES = 8 * 1024 * 1024
"""How much of a call is kept to send it again when the server reports that it never started it (gRFC A6). With grpc's
256 KiB, 15 of 54,407 calls failed while servers were replaced, all of 1 MiB; with 8 MiB, none failed."""

_RECEIVE, _SEND = "grpc.max_receive_message_length", "grpc.max_send_message_length"
_DECOMPRESS = "grpc.per_message_decompression"
_NAME = "grpc.ssl_target_name_override"

_ALWAYS = {"grpc.use_local_subchannel_pool": 1, "SingleThreadedUnaryStream": 1}
"""Options without effect in the native engine, which always behaves as they ask: a channel has its own connection, and
the thread of the caller does the work."""


class Channels:
    """Creates channels to one socket.

    Raises:
        OptionError: an option is out of range, or the engine does not support it.
    """

    def __init__(
        self,
        engine: str | None,
        address: SocketAddress,
        *,
        tls: Pems | grpc.ChannelCredentials | None,
        compression: grpc.Compression | None,
        max_message_bytes: int,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        check_number("max_message_bytes", max_message_bytes, 1, MOST_BYTES, whole=True)
        self._address = address
        self._compression = compression
        self._is_native = chosen_engine(engine) == NATIVE
        own = {_RECEIVE: max_message_bytes, _SEND: max_message_bytes}
        if self._is_native:
            local = _is_local(tls)
            pems = None if local else pems_of(tls)
            self._native = {**_native_arguments(own, options, compression, pems), "local_credentials": local}
            return
        self._credentials = _credentials(tls) if isinstance(tls, Pems) else tls
        self._arguments = channel_arguments(
            {
                # By default, C-core sends the percent-encoded path as :authority. Kestrel and Rust's h2 reject it
                # (grpc/grpc 34305, hyperium/h2 442).
                "grpc.default_authority": "localhost",
                "grpc.initial_reconnect_backoff_ms": _INITIAL_BACKOFF_MS,
                "grpc.max_reconnect_backoff_ms": _MAX_BACKOFF_MS,
                "grpc.per_rpc_retry_buffer_size": _RETRY_BUFFER_BYTES,
                **CLIENT_OPTIONS,
                **own,
            },
            options,
        )

    def make(self) -> grpc.Channel:
        """Creates a synchronous channel."""
        if self._is_native:
            import samehost_native  # noqa: PLC0415 - it may not be installed

            return samehost_native.Channel(str(self._address.path), **self._native)
        keep_core(client=True)
        address, arguments, compression = str(self._address), self._arguments, self._compression
        if self._credentials is None:
            return grpc.insecure_channel(address, arguments, compression=compression)
        return grpc.secure_channel(address, self._credentials, arguments, compression=compression)

    def make_aio(self, interceptors: Sequence[Any]) -> grpc.aio.Channel:
        """Creates an asyncio channel."""
        if self._is_native:
            import samehost_native.aio  # noqa: PLC0415 - it may not be installed

            return samehost_native.aio.Channel(str(self._address.path), interceptors=interceptors, **self._native)
        keep_core(client=True)
        given: Any = {"compression": self._compression, "interceptors": interceptors}
        if self._credentials is None:
            return grpc.aio.insecure_channel(str(self._address), self._arguments, **given)
        return grpc.aio.secure_channel(str(self._address), self._credentials, self._arguments, **given)


def _is_local(credentials: object) -> bool:
    """Returns whether credentials are of grpc.local_channel_credentials, for which grpcio has no public test."""
    return type(getattr(credentials, "_credentials", None)).__name__ == "LocalChannelCredentials"


def _native_arguments(
    own: dict[str, Any],
    options: Sequence[tuple[str, Any]],
    compression: grpc.Compression | None,
    pems: Pems | None,
) -> dict[str, Any]:
    own = {**own, _DECOMPRESS: 1, _NAME: "localhost", **_ALWAYS, **NO_KEEPALIVE}
    arguments = native_arguments(own, options)
    return {
        "max_receive": arguments[_RECEIVE],
        "max_send": arguments[_SEND],
        "decompress": bool(arguments[_DECOMPRESS]),
        "compression": compression,
        "tls": _native_tls(pems, arguments[_NAME]),
        "keepalive": keepalive(arguments),
    }


def _native_tls(pems: Pems | None, name: Any) -> Any:
    if pems is None:
        return None
    import samehost_native  # noqa: PLC0415 - it may not be installed

    try:
        return samehost_native.ClientTls(pems.ca or b"", pems.certificate, pems.key, name)
    except (TypeError, ValueError) as error:
        raise OptionError(f"cannot use the ca, certificate, key and {_NAME}: {error}") from error


def _credentials(pems: Pems) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)
