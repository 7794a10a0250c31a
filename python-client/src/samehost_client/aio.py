"""The asyncio channel: `samehost_client.aio.connect` is to `samehost_client.connect` as `grpc.aio` is to `grpc`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from samehost_client._channel import (
    ANY_METHOD,
    MAX_MESSAGE_BYTES,
    REFUSAL_SECONDS,
    channel_options,
    was_answered,
)
from samehost_client.diagnosis import certificate_refused, not_ready, refuse_what_waiting_cannot_cure
from samehost_client.errors import CertificateError
from samehost_client.retry import AsyncRetryInterceptor, Methods
from samehost_proto import AddressLike, SocketAddress
from samehost_proto.options import check_wait

__all__ = ["ENDED_WHILE_SENDING", "connect"]

ENDED_WHILE_SENDING = (grpc.RpcError, grpc.aio.InternalError, asyncio.InvalidStateError)
"""What a stream's `write` and `done_writing` raise where the call has ended meanwhile, as when its connection breaks.

None of them says why: where it is an RpcError, its status may be a wrong INTERNAL (grpc/grpc 36066). So suppress them,
stop sending, and read: that raises an RpcError with the status, or with the INTERNAL where the other is not there yet.
"""


async def connect(
    address: AddressLike,
    *,
    wait: float | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    idempotent: Sequence[str] = (),
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    options: Sequence[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """Gives an ordinary asyncio channel to the server at a socket: `async with await aio.connect(...)`.

    Arguments, errors and behavior are those of samehost_client.connect.
    """
    address = SocketAddress.parse(address)
    timeout = check_wait(wait)
    methods = Methods(idempotent)
    arguments = channel_options(max_message_bytes, options)
    interceptors = [AsyncRetryInterceptor(methods)] if methods else []
    channel = (
        grpc.aio.insecure_channel(str(address), arguments, interceptors=interceptors)
        if credentials is None
        else grpc.aio.secure_channel(str(address), credentials, arguments, interceptors=interceptors)
    )
    if wait is None:
        return channel
    try:
        refuse_what_waiting_cannot_cure(address)
        knock: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ANY_METHOD)
        await knock(b"", timeout=timeout, wait_for_ready=True)
    except grpc.RpcError as error:
        if not was_answered(error):
            refusal = None if credentials is None else await _refusal(knock, address)
            await channel.close()
            if refusal:
                raise refusal from error
            raise await asyncio.to_thread(not_ready, address, wait) from error
    except BaseException:
        await channel.close()
        raise
    return channel


async def _refusal(
    knock: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", address: SocketAddress
) -> CertificateError | None:
    """Why a TLS handshake fails: a call that waits never says it, so one that does not wait is made."""
    try:
        await knock(b"", timeout=REFUSAL_SECONDS)
    except grpc.RpcError as error:
        return certificate_refused(error.details() or "", address)
    return None
