"""The engine of samehost_native, which moves clients as HTTP/2 has it: with a GOAWAY that refuses no call."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

import grpc
import samehost_native
import samehost_native.aio

from samehost_common import OptionError, SocketAddress
from samehost_common.engine import refuse_unknown
from samehost_common.options import channel_arguments
from samehost_server.errors import BindError

_BACKLOG = 4096
"""Connections that wait to be accepted; the kernel allows net.core.somaxconn, 4096 by default, of them."""

_LOG = logging.getLogger("samehost_server")

_RECEIVE, _SEND = "grpc.max_receive_message_length", "grpc.max_send_message_length"
_DECOMPRESS = "grpc.per_message_decompression"


class NativeEngine:
    """Makes servers of samehost_native.

    Raises:
        OptionError: an option is given that this engine does not have.
    """

    implementation = "samehost-native"
    version = samehost_native.__version__
    moved_within = 0.0

    def __init__(
        self,
        max_connection_age: float | None,
        max_message_bytes: int,
        credentials: grpc.ServerCredentials | None,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        refuse_unknown("max_connection_age", max_connection_age is not None)
        refuse_unknown("TLS", credentials)
        known = {_RECEIVE: max_message_bytes, _SEND: max_message_bytes, _DECOMPRESS: 1}
        arguments = dict(channel_arguments(known, options))
        if unknown := sorted(arguments.keys() - known.keys()):
            raise OptionError(f"engine 'native' has no option {unknown[0]}; leave it out, or use engine 'grpcio'")
        self._arguments = {
            "max_receive": arguments[_RECEIVE],
            "max_send": arguments[_SEND],
            "decompress": bool(arguments[_DECOMPRESS]),
            "log": _LOG,
        }

    def server(self, interceptors: Sequence[Any], workers: Any, most_workers: int) -> grpc.Server:  # noqa: ARG002
        """Makes a synchronous server."""
        return samehost_native.Server(max_workers=most_workers, interceptors=interceptors, **self._arguments)

    def aio_server(self, interceptors: Sequence[Any]) -> grpc.aio.Server:
        """Makes an asyncio server."""
        # The limit on calls in progress is that of this library.
        return samehost_native.aio.Server(max_concurrent_calls=2**31, interceptors=interceptors, **self._arguments)

    def listen(self, server: Any, private: SocketAddress, path: os.PathLike[str]) -> None:
        """Binds the private address of a path and lets the server listen on it.

        Raises:
            BindError: the system refuses the socket.
        """
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(str(private.path))
                listener.listen(_BACKLOG)
            except OSError as error:
                raise BindError(f"the system refused a socket beside {path}: {error.strerror}") from error
            server.listen(listener.fileno())
