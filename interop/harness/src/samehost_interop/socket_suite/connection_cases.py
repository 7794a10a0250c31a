"""Cases for connections under load. README.md in this folder explains why each case matters."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost.interop import testing_pb2, testing_pb2_grpc
from samehost_client import aio
from samehost_interop.errors import CaseError
from samehost_interop.socket_suite.pair import CALL_SECONDS, OWN_CONNECTION, Pair, expect, open_channel

_STREAMS = 1000
"""Calls in progress at once. Kestrel allows 100 on a connection by default, and net/http 250."""

_MESSAGE_BYTES = 1 << 20
_MESSAGES = 512
_MEMORY_BYTES = 128 << 20
"""How much a server may grow while it has 512 MiB to send and the client does not read. Windows and socket buffers hold
some MiB, and garbage collectors take their time."""

_CALLS_MEANWHILE = 1000
"""Calls on another connection while the client does not read the stream. They take about a second. A server that does
not wait for its reader writes hundreds of MiB in this time."""

_SMALL_METADATA_BYTES = 6 << 10
"""Less than 8 KiB, which every gRPC library accepts (grpc/grpc doc/PROTOCOL-HTTP2.md, Requests)."""

_LARGE_METADATA_BYTES = 1 << 20
_REFUSAL_SECONDS = 5.0
"""How long a server may take to reject metadata. It usually takes milliseconds."""

_MAX_MESSAGE_BYTES = 4 << 20
"""The default limit for a message in gRPC's libraries."""


def many_streams(pair: Pair) -> None:
    """The server answers a thousand calls that are in progress on one connection."""
    with pair.serving():
        asyncio.run(_converse_at_once(pair.socket))


async def _converse_at_once(path: Path) -> None:
    async with await aio.connect(path, options=[OWN_CONNECTION]) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        calls = [stub.Converse(timeout=CALL_SECONDS) for _ in range(_STREAMS)]
        await asyncio.gather(*(call.write(greeter_pb2.ConverseRequest(text="Hello")) for call in calls))
        answers = await asyncio.gather(*(call.read() for call in calls))
        answered = sum(isinstance(answer, greeter_pb2.ConverseResponse) for answer in answers)
        expect("answered calls while all are in progress", answered, _STREAMS)
        await asyncio.gather(*(call.done_writing() for call in calls))
        codes = Counter(code.name for code in await asyncio.gather(*(call.code() for call in calls)))
        expect("status codes of the calls", codes, {"OK": _STREAMS})


def slow_reader(pair: Pair) -> None:
    """If a client does not read a stream, the server waits without buffering it, and serves other clients."""
    request = testing_pb2.StreamingOutputCallRequest(
        response_parameters=[testing_pb2.ResponseParameters(size=_MESSAGE_BYTES)] * _MESSAGES
    )
    with pair.serving() as server, open_channel(pair.socket) as idle, open_channel(pair.socket) as busy:
        others = testing_pb2_grpc.TestServiceStub(busy)
        others.EmptyCall(testing_pb2.Empty(), timeout=CALL_SECONDS)
        before = _peak_memory(server.process.pid)
        stream = testing_pb2_grpc.TestServiceStub(idle).StreamingOutputCall(request, timeout=CALL_SECONDS)
        next(stream)
        for _ in range(_CALLS_MEANWHILE):
            others.EmptyCall(testing_pb2.Empty(), timeout=CALL_SECONDS)
        grown = _peak_memory(server.process.pid) - before
        stream.cancel()
    if grown > _MEMORY_BYTES:
        raise CaseError(
            f"memory growth while a client does not read: expected at most {_MEMORY_BYTES >> 20} MiB, "
            f"got {grown >> 20} MiB"
        )


def large_metadata(pair: Pair) -> None:
    """The server accepts metadata of 6 KiB. It answers metadata of 1 MiB with any status, and keeps serving."""
    with pair.serving(), open_channel(pair.socket) as channel, open_channel(pair.socket) as another:
        stub = testing_pb2_grpc.TestServiceStub(channel)
        sent = ("x-grpc-test-echo-initial", "a" * _SMALL_METADATA_BYTES)
        _, call = stub.UnaryCall.with_call(testing_pb2.SimpleRequest(), metadata=(sent,), timeout=CALL_SECONDS)
        returned = dict(call.initial_metadata()).get(sent[0], "")
        expect("bytes of the echoed metadata", len(returned), _SMALL_METADATA_BYTES)
        try:
            too_large = ((sent[0], "a" * _LARGE_METADATA_BYTES),)
            stub.UnaryCall(testing_pb2.SimpleRequest(), metadata=too_large, timeout=_REFUSAL_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise CaseError(f"answer to {_LARGE_METADATA_BYTES} bytes of metadata: none by the deadline") from error
        testing_pb2_grpc.TestServiceStub(another).EmptyCall(testing_pb2.Empty(), timeout=CALL_SECONDS)


def max_message(pair: Pair) -> None:
    """The server accepts a message of 4 MiB, rejects one more byte with RESOURCE_EXHAUSTED, and keeps serving."""
    longest = testing_pb2.SimpleRequest(payload=testing_pb2.Payload(body=bytes(_MAX_MESSAGE_BYTES - 16)))
    longest.payload.body += bytes(_MAX_MESSAGE_BYTES - longest.ByteSize())
    expect("bytes of the longest message", longest.ByteSize(), _MAX_MESSAGE_BYTES)
    with pair.serving(), open_channel(pair.socket, max_message_bytes=2 * _MAX_MESSAGE_BYTES) as channel:
        stub = testing_pb2_grpc.TestServiceStub(channel)
        stub.UnaryCall(longest, timeout=CALL_SECONDS)
        longest.payload.body += b"\0"
        try:
            stub.UnaryCall(longest, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            expect("status of a message of 4 MiB and one byte", error.code().name, "RESOURCE_EXHAUSTED")
        else:
            raise CaseError("status of a message of 4 MiB and one byte: expected RESOURCE_EXHAUSTED, got OK")
        stub.UnaryCall(testing_pb2.SimpleRequest(), timeout=CALL_SECONDS, wait_for_ready=True)


def plain_grpcio(pair: Pair) -> None:
    """The server answers a client of grpcio without options, which sends the path as :authority."""
    with pair.serving(), grpc.insecure_channel(f"unix:{pair.socket}", [OWN_CONNECTION]) as channel:
        stub = testing_pb2_grpc.TestServiceStub(channel)
        for _ in range(2):  # the first call sends the text, and the next one its index in the table of HPACK
            stub.EmptyCall(testing_pb2.Empty(), timeout=CALL_SECONDS)


def _peak_memory(pid: int) -> int:
    """Return the peak resident memory of a process in bytes (VmHWM in proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise CaseError(f"cannot read the memory of process {pid}: it has ended")


CASES = {case.__name__: case for case in (many_streams, slow_reader, large_metadata, max_message, plain_grpcio)}
"""The cases by name, in the order of the report."""
