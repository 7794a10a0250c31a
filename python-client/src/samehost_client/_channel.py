"""The synchronous channel, and the options that both kinds of channel have."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import grpc

from samehost_client._engine import Channels
from samehost_client.diagnosis import certificate_refused, not_ready, refuse_what_waiting_cannot_cure
from samehost_client.errors import CertificateError
from samehost_client.retry import Methods, RetryInterceptor
from samehost_common import AddressLike, OptionError, SocketAddress
from samehost_common.options import check_wait, instances

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""gRPC's own default for what a client takes in."""

REFUSAL_SECONDS = 1.0
"""How long a refused handshake may take to be made again and told; on one machine it takes milliseconds."""

ANY_METHOD = "/grpc.health.v1.Health/Check"
"""What is called to learn that a server is there. Watching the channel's state would not make a call, but
takes a thread that grpc lets run on, and which fails aloud when the channel is closed under it."""

_KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")


def check_compression(compression: object) -> None:
    """Checks how messages are compressed.

    Raises:
        OptionError: it is neither None nor a member of grpc.Compression.
    """
    if compression is not None and not isinstance(compression, grpc.Compression):
        raise OptionError(
            f"compression is {compression!r}; give a member of grpc.Compression, as grpc.Compression.Gzip"
        )


def client_interceptors(interceptors: object, package: ModuleType) -> list[Any]:
    """Checks the interceptors of a channel.

    Args:
        interceptors: what was given.
        package: grpc, or grpc.aio, whose interceptors they are to be.

    Raises:
        OptionError: one is none, or no list was given.
    """
    kinds = [getattr(package, f"{kind}ClientInterceptor") for kind in _KINDS]
    which = f"{package.__name__}.{kinds[0].__name__}, or its like for streams"
    return instances("interceptors", interceptors, tuple(kinds), which)


def connect(
    address: AddressLike,
    *,
    wait: float | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    idempotent: Sequence[str] = (),
    interceptors: Sequence[Any] = (),
    compression: grpc.Compression | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    options: Sequence[tuple[str, Any]] = (),
    engine: str | None = None,
) -> grpc.Channel:
    """Gives an ordinary channel to the server at a socket; close it, or use it as a context manager.

    Without `wait` nothing is dialled before the first call, as with every gRPC channel; calls made with
    `wait_for_ready=True` then wait for the server until their own deadline.

    Args:
        address: `unix:/absolute/path`, or the path; at most 107 bytes.
        wait: seconds to wait for a server, which is asked for its health and may answer anything; None
            returns at once, and math.inf waits for ever.
        credentials: of a server that speaks TLS, whose certificate is to be for `localhost`; None speaks plaintext.
        idempotent: methods whose unary calls are made again when they fail with UNAVAILABLE, until their deadline:
            `package.Service/Method`, with or without a slash in front, or `package.Service` for all. A call may then
            take effect twice.
        interceptors: instances of grpc.UnaryUnaryClientInterceptor and its like for streams, the first one outermost.
            They see each call of the program once: the attempts at an idempotent call are made behind them, and the
            health check of `wait` goes past them.
        compression: of what the channel sends, unless a call says otherwise; None does not compress.
        max_message_bytes: the longest message in either direction.
        options: further channel arguments of grpc, which win over those that are set here.
        engine: `grpcio`, or `native` with samehost-native installed; by default what the environment variable
            SAMEHOST_ENGINE says, else grpcio.

    Raises:
        AddressError: the address is invalid.
        OptionError: an option is out of range or of the wrong type.
        NotASocketError, SocketPermissionError: waiting would not help; raised at once.
        ConnectError: no server could be reached in time; its subclasses say why.
    """
    address = SocketAddress.parse(address)
    timeout = check_wait(wait)
    methods = Methods(idempotent)
    interceptors = client_interceptors(interceptors, grpc)
    check_compression(compression)
    bare = Channels(
        engine,
        address,
        credentials=credentials,
        compression=compression,
        max_message_bytes=max_message_bytes,
        options=options,
    ).make()
    if methods:
        interceptors.append(RetryInterceptor(methods))
    channel = grpc.intercept_channel(bare, *interceptors)
    if wait is None:
        return channel
    try:
        refuse_what_waiting_cannot_cure(address)
        knock: grpc.UnaryUnaryMultiCallable[bytes, bytes] = bare.unary_unary(ANY_METHOD)
        knock(b"", timeout=timeout, wait_for_ready=True)
    except grpc.RpcError as error:
        if not was_answered(error):
            refusal = None if credentials is None else _refusal(knock, address)
            bare.close()
            raise refusal or not_ready(address, wait) from error
    except BaseException:
        bare.close()
        raise
    return channel


def _refusal(knock: Callable[..., bytes], address: SocketAddress) -> CertificateError | None:
    """Why a TLS handshake fails: a call that waits never says it, so one that does not wait is made."""
    try:
        knock(b"", timeout=REFUSAL_SECONDS)
    except grpc.RpcError as error:
        return certificate_refused(error.details() or "", address)
    return None


def was_answered(error: grpc.RpcError) -> bool:
    """Whether a call that could wait reached a server: any status of its own says so, UNIMPLEMENTED too."""
    return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
