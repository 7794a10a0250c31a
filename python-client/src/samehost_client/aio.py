"""The asyncio channel: `samehost_client.aio.connect` is to `samehost_client.connect` as `grpc.aio` is to `grpc`."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import grpc

from samehost_client import diagnosis
from samehost_client._channel import (
    ANY_METHOD,
    MAX_MESSAGE_BYTES,
    REFUSAL_SECONDS,
    channel_tls,
    check_compression,
    client_interceptors,
    was_answered,
)
from samehost_client._connecting import enterable
from samehost_client._engine import Channels
from samehost_client.diagnosis import certificate_refused, not_ready, refuse_what_waiting_cannot_cure
from samehost_client.errors import CertificateError
from samehost_client.retry import AsyncRetryInterceptor, Methods
from samehost_common import AddressLike, SamehostError, SocketAddress
from samehost_common.options import check_wait

__all__ = ["ENDED_WHILE_SENDING", "connect", "explain"]

ENDED_WHILE_SENDING = (grpc.RpcError, grpc.aio.InternalError, asyncio.InvalidStateError)
"""The errors of a stream's `write` and `done_writing` after the end of the call, for example when its connection broke.

They do not say why: an RpcError may have a wrong status INTERNAL (grpc/grpc 36066). So suppress them, stop sending and
read. Reading raises an RpcError with the status of the call, or with INTERNAL if that status has not arrived yet.
"""


@enterable
async def connect(
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
) -> grpc.aio.Channel:
    """Opens an asyncio channel to the server at a socket.

    ```python
    async with aio.connect("unix:/run/app/app.sock", wait=10) as channel:
        ...
    ```

    `channel = await aio.connect(...)` works too; then close the channel yourself. Arguments, errors and behavior are
    those of samehost_client.connect. The interceptors are instances of grpc.aio.UnaryUnaryClientInterceptor and its
    equivalents. grpc.aio uses each of them for one kind of call.
    """
    address = SocketAddress.parse(address)
    timeout = check_wait(wait)
    methods = Methods(idempotent)
    interceptors = client_interceptors(interceptors, grpc.aio)
    check_compression(compression)
    tls = channel_tls(ca, certificate, key, credentials)
    channels = Channels(
        engine,
        address,
        tls=tls,
        compression=compression,
        max_message_bytes=max_message_bytes,
        options=options,
    )
    channel = channels.make_aio([*interceptors, AsyncRetryInterceptor(methods)] if methods else interceptors)
    if wait is None:
        return channel
    # A channel of grpc.aio always calls through its interceptors.
    bare = channels.make_aio([]) if interceptors else channel
    try:
        refuse_what_waiting_cannot_cure(address)
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = bare.unary_unary(ANY_METHOD)
        await check(b"", timeout=timeout, wait_for_ready=True)
    except grpc.RpcError as error:
        if not was_answered(error):
            refusal = None if tls is None else await _refusal(check, address)
            await channel.close()
            if refusal:
                raise refusal from error
            raise await asyncio.to_thread(not_ready, address, wait) from error
    except BaseException:
        await channel.close()
        raise
    finally:
        if bare is not channel:
            await bare.close()
    return channel


async def explain(error: grpc.RpcError, address: AddressLike) -> SamehostError:
    """Does what samehost_client.explain does, without blocking the event loop."""
    return await asyncio.to_thread(diagnosis.explain, error, address)


async def _refusal(
    check: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", address: SocketAddress
) -> CertificateError | None:
    """Finds out why a TLS handshake fails, by a call that does not wait. A call that waits never reports it."""
    try:
        await check(b"", timeout=REFUSAL_SECONDS)
    except grpc.RpcError as error:
        return certificate_refused(error.details() or "", address)
    return None
