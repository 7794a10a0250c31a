"""What a server owes to a connection that asks for much of it; README.md beside this file says why each matters."""

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
"""Calls in progress at once. Kestrel and net/http allow 100 and 250 on a connection, unless they are told otherwise."""

_MESSAGE_BYTES = 1 << 20
_MESSAGES = 512
_MEMORY_BYTES = 128 << 20
"""How much a server may grow while nobody reads the 512 MiB it has to say: what fits into windows and socket buffers is
some MiB, and collectors of garbage take their time."""

_CALLS_MEANWHILE = 1000
"""Calls on another connection while nobody reads the stream: about a second, in which a server that does not wait for
its reader has written hundreds of MiB."""

_SMALL_METADATA_BYTES = 6 << 10
"""Below the 8 KiB that gRPC's libraries take at the least (grpc/grpc doc/PROTOCOL-HTTP2.md, Requests)."""

_LARGE_METADATA_BYTES = 1 << 20
_REFUSAL_SECONDS = 5.0
"""How long a server may take to refuse metadata, which takes milliseconds."""

_MAX_MESSAGE_BYTES = 4 << 20
"""What gRPC's libraries take for a message unless they are told otherwise."""


def many_streams(pair: Pair) -> None:
    """A thousand calls are in progress at once on one connection, and each is answered."""
    with pair.serving():
        asyncio.run(_converse_at_once(pair.socket))


async def _converse_at_once(path: Path) -> None:
    async with await aio.connect(path, options=[OWN_CONNECTION]) as channel:
        stub = greeter_pb2_grpc.GreeterServiceStub(channel)
        calls = [stub.Converse(timeout=CALL_SECONDS) for _ in range(_STREAMS)]
        await asyncio.gather(*(call.write(greeter_pb2.ConverseRequest(text="Hello")) for call in calls))
        answers = await asyncio.gather(*(call.read() for call in calls))
        answered = sum(isinstance(answer, greeter_pb2.ConverseResponse) for answer in answers)
        expect("calls that are answered while all are in progress", answered, _STREAMS)
        await asyncio.gather(*(call.done_writing() for call in calls))
        codes = Counter(code.name for code in await asyncio.gather(*(call.code() for call in calls)))
        expect("how the calls ended", codes, {"OK": _STREAMS})


def slow_reader(pair: Pair) -> None:
    """A client that does not read holds its server up: the server waits, in little memory, and serves others."""
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
            f"memory of a server whose client does not read: expected at most {_MEMORY_BYTES >> 20} MiB more, "
            f"got {grown >> 20} MiB"
        )


def large_metadata(pair: Pair) -> None:
    """Metadata of 6 KiB goes and returns; what comes of 1 MiB is the server's choice, but it serves on."""
    with pair.serving(), open_channel(pair.socket) as channel, open_channel(pair.socket) as another:
        stub = testing_pb2_grpc.TestServiceStub(channel)
        sent = ("x-grpc-test-echo-initial", "a" * _SMALL_METADATA_BYTES)
        _, call = stub.UnaryCall.with_call(testing_pb2.SimpleRequest(), metadata=(sent,), timeout=CALL_SECONDS)
        returned = dict(call.initial_metadata()).get(sent[0], "")
        expect("bytes of the metadata that returned", len(returned), _SMALL_METADATA_BYTES)
        try:
            too_large = ((sent[0], "a" * _LARGE_METADATA_BYTES),)
            stub.UnaryCall(testing_pb2.SimpleRequest(), metadata=too_large, timeout=_REFUSAL_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise CaseError(f"metadata of {_LARGE_METADATA_BYTES} bytes: no answer by the deadline") from error
        testing_pb2_grpc.TestServiceStub(another).EmptyCall(testing_pb2.Empty(), timeout=CALL_SECONDS)


def max_message(pair: Pair) -> None:
    """A message of 4 MiB is served; one with a byte more is refused with RESOURCE_EXHAUSTED, and calls go on."""
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
            expect("status of a message of 4 MiB and a byte", error.code().name, "RESOURCE_EXHAUSTED")
        else:
            raise CaseError("status of a message of 4 MiB and a byte: expected RESOURCE_EXHAUSTED, got OK")
        stub.UnaryCall(testing_pb2.SimpleRequest(), timeout=CALL_SECONDS, wait_for_ready=True)


def _peak_memory(pid: int) -> int:
    """The most bytes that a process has had in memory (proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise CaseError(f"the memory of process {pid} is not known: it has ended")


CASES = {case.__name__: case for case in (many_streams, slow_reader, large_metadata, max_message)}
"""The cases by name, in the order of the report."""
