"""The synchronous channel, and the options that it shares with the asyncio channel."""

import os
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
from samehost_common.tls import AnyPath, Pems, read_pems

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The default of gRPC for the messages that a client receives."""

REFUSAL_SECONDS = 1.0
"""The timeout of the second handshake that finds out why the first one failed. On one machine it takes milliseconds."""

ANY_METHOD = "/grpc.health.v1.Health/Check"
"""The method that `wait` calls to find out whether a server answers. Watching the state of the channel would need no
call, but grpc does it in a thread that it does not stop, and that prints an error when the channel is closed."""

_KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")


def check_compression(compression: object) -> None:
    """Checks the option `compression`.

    Raises:
        OptionError: the value is neither None nor a member of grpc.Compression.
    """
    if compression is not None and not isinstance(compression, grpc.Compression):
        raise OptionError(
            f"invalid compression {compression!r}: use a member of grpc.Compression, such as grpc.Compression.Gzip"
        )


def channel_tls(
    ca: AnyPath | None,
    certificate: AnyPath | None,
    key: AnyPath | None,
    credentials: grpc.ChannelCredentials | None,
) -> Pems | grpc.ChannelCredentials | None:
    """Reads the files of a client, or returns the given credentials; None if nothing is given.

    Raises:
        OptionError: the files cannot be used, or both files and credentials are given.
    """
    if credentials is None:
        pems = read_pems(certificate, key, ca)
        if pems and pems.ca is None:
            raise OptionError(f"invalid certificate {certificate!r}: a client with TLS needs ca too")
        return pems
    if any(each is not None for each in (ca, certificate, key)):
        raise OptionError("invalid credentials: a ca, certificate or key is given too; use one of them")
    return credentials


def client_interceptors(interceptors: object, package: ModuleType) -> list[Any]:
    """Checks the interceptors of a channel and returns them as a list.

    Args:
        interceptors: the value of the option.
        package: grpc or grpc.aio, which defines the classes of the interceptors.

    Raises:
        OptionError: the value is not a list, or an item is not an interceptor of the package.
    """
    kinds = [getattr(package, f"{kind}ClientInterceptor") for kind in _KINDS]
    which = f"{package.__name__}.{kinds[0].__name__}, or its equivalents for streams"
    return instances("interceptors", interceptors, tuple(kinds), which)


def connect(
    address: AddressLike,
    *,
    wait: float | None = None,
    ca: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    idempotent: Sequence[str] = (),
    interceptors: Sequence[Any] = (),
    compression: grpc.Compression | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    options: Sequence[tuple[str, Any]] = (),
    engine: str | None = None,
) -> grpc.Channel:
    """Opens a channel to the server at a socket. Close it, or use it as a context manager.

    Without `wait`, the channel connects at the first call, like every gRPC channel. A call with `wait_for_ready=True`
    then waits for the server until its own deadline.

    Args:
        address: `unix:/absolute/path` or the path; at most 107 bytes.
        wait: seconds to wait until a server answers a health check, with any status. None returns at once, and math.inf
            waits forever.
        ca: the file of the PEM certificates of authorities, for a server with TLS. The certificate of the server has to
            be of one of them, and has to name `localhost`. None connects without TLS.
        certificate: the file of the client's PEM certificate chain, for mutual TLS. Needs `ca` and `key`.
        key: the file of the unencrypted PEM key of the certificate.
        credentials: TLS credentials of grpc instead of the files. Only the engine `grpcio` can read them. Those of
            grpc.local_channel_credentials connect without TLS, and let calls have credentials.
        idempotent: methods that are safe to retry: `package.Service/Method`, with or without a leading slash, or
            `package.Service` for all its methods. Their unary calls are retried until their deadline when they fail
            with UNAVAILABLE, so a call may take effect twice.
        interceptors: instances of grpc.UnaryUnaryClientInterceptor and its equivalents for streams. The first one is
            outermost. They see each call once, because retries happen behind them. They do not see the health check of
            `wait`.
        compression: how the channel compresses what it sends, unless a call sets its own. None does not compress.
        max_message_bytes: the maximum length of a message in either direction.
        options: more channel arguments of grpc. They replace those that this library sets.
        engine: `grpcio`, or `native`, which needs samehost-native. The default is the environment variable
            SAMEHOST_ENGINE, else grpcio.

    Raises:
        AddressError: the address is invalid.
        OptionError: an option is out of range or has the wrong type.
        NotASocketError, SocketPermissionError: `wait` is set, and waiting cannot help. Raised at once.
        ConnectError: `wait` is set, and no server answered in time. The subclass says why.
    """
    address = SocketAddress.parse(address)
    timeout = check_wait(wait)
    methods = Methods(idempotent)
    interceptors = client_interceptors(interceptors, grpc)
    check_compression(compression)
    tls = channel_tls(ca, certificate, key, credentials)
    bare = Channels(
        engine,
        address,
        tls=tls,
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
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = bare.unary_unary(ANY_METHOD)
        check(b"", timeout=timeout, wait_for_ready=True)
    except grpc.RpcError as error:
        if not was_answered(error):
            refusal = None if tls is None else _refusal(check, address)
            bare.close()
            raise refusal or not_ready(address, wait) from error
    except BaseException:
        bare.close()
        raise
    return channel


def _refusal(check: Callable[..., bytes], address: SocketAddress) -> CertificateError | None:
    """Finds out why a TLS handshake fails, by a call that does not wait. A call that waits never reports it."""
    try:
        check(b"", timeout=REFUSAL_SECONDS)
    except grpc.RpcError as error:
        return certificate_refused(error.details() or "", address)
    return None


def was_answered(error: grpc.RpcError) -> bool:
    """Whether a call with wait_for_ready reached a server. Any status of the server shows it, even UNIMPLEMENTED."""
    return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
