"""The engine samehost_native. It moves clients with a GOAWAY that refuses no call, as HTTP/2 provides."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

import grpc
import samehost_native
import samehost_native.aio

from samehost_common import OptionError, SocketAddress
from samehost_common.engine import (
    NO_KEEPALIVE,
    keepalive,
    native_arguments,
    pems_of,
)
from samehost_common.options import MOST_INT, check_number
from samehost_common.probe import reason
from samehost_common.tls import Pems
from samehost_server._engine import AGE_OPTION, age_milliseconds
from samehost_server._socket_file import cannot_bind

_BACKLOG = 4096
"""The maximum of connections that wait to be accepted. The kernel limits it to net.core.somaxconn, 4096 by default."""

_LOG = logging.getLogger("samehost_server")

_RECEIVE, _SEND = "grpc.max_receive_message_length", "grpc.max_send_message_length"
_DECOMPRESS = "grpc.per_message_decompression"
_HANDSHAKE = "grpc.server_handshake_timeout_ms"

_HANDSHAKE_MS = 120_000
"""How long a client may take for its handshakes, as in C-core."""


class NativeEngine:
    """Creates servers of samehost_native.

    Raises:
        OptionError: this engine does not support an option.
    """

    implementation = "samehost-native"
    version = samehost_native.__version__
    moved_within = 0.0

    def __init__(
        self,
        max_connection_age: float | None,
        max_message_bytes: int,
        tls: Pems | grpc.ServerCredentials | None,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        own = {
            _RECEIVE: max_message_bytes,
            _SEND: max_message_bytes,
            _DECOMPRESS: 1,
            _HANDSHAKE: _HANDSHAKE_MS,
            # C-core takes the maximum as no limit.
            AGE_OPTION: MOST_INT if max_connection_age is None else age_milliseconds(max_connection_age),
        }
        arguments = native_arguments({**own, **NO_KEEPALIVE}, options)
        for name in (_HANDSHAKE, AGE_OPTION):
            check_number(f"option {name}", arguments[name], 1, MOST_INT, whole=True)
        age = arguments[AGE_OPTION]
        pems = pems_of(tls)
        self._tls = _tls(pems) if pems else None
        self._arguments = {
            "max_receive": arguments[_RECEIVE],
            "max_send": arguments[_SEND],
            "decompress": bool(arguments[_DECOMPRESS]),
            "tls": self._tls,
            "handshake": arguments[_HANDSHAKE] / 1000,
            "keepalive": keepalive(arguments),
            "max_connection_age": None if age == MOST_INT else age / 1000,
            "log": _LOG,
        }

    def server(self, interceptors: Sequence[Any], workers: Any, most_workers: int) -> grpc.Server:  # noqa: ARG002
        """Creates a synchronous server."""
        return samehost_native.Server(max_workers=most_workers, interceptors=interceptors, **self._arguments)

    def aio_server(self, interceptors: Sequence[Any]) -> grpc.aio.Server:
        """Creates an asyncio server."""
        # This library limits the calls in progress itself.
        return samehost_native.aio.Server(max_concurrent_calls=2**31, interceptors=interceptors, **self._arguments)

    def listen(self, server: Any, private: SocketAddress, path: os.PathLike[str]) -> None:
        """Binds the private address of a path and makes the server listen on it.

        Raises:
            BindError: the system cannot create the socket.
        """
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(str(private.path))
                listener.listen(_BACKLOG)
            except OSError as error:
                raise cannot_bind(path, reason(error)) from error
            server.listen(listener.fileno())

    def renew_tls(self, pems: Pems) -> None:
        """Uses the content of changed TLS files for new connections. Called in any thread.

        Raises:
            OptionError: the engine cannot use them.
        """
        if self._tls:
            self._tls.replace(_tls(pems))


def _tls(pems: Pems) -> samehost_native.ServerTls:
    try:
        return samehost_native.ServerTls(pems.certificate or b"", pems.key or b"", pems.ca)
    except ValueError as error:
        raise OptionError(f"cannot use the certificate, key and ca: {error}") from error
