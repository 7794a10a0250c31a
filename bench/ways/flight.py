"""Arrow Flight: gRPC in C++ with a Python API. Its messages are Arrow record batches."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.flight

from bench.calls import Calls, Ready

_SCHEMA = pa.schema([("body", pa.binary())])


class _Server(pyarrow.flight.FlightServerBase):  # type: ignore[misc]  # see http.py
    def do_action(self, _context: object, action: Any) -> Iterator[Any]:
        yield pyarrow.flight.Result(action.body)

    def do_get(self, _context: object, ticket: Any) -> Any:
        size, count = json.loads(ticket.ticket)
        batch = _batch(bytes(size))
        return pyarrow.flight.GeneratorStream(_SCHEMA, (batch for _ in range(count)))

    def do_put(self, _context: object, _descriptor: object, reader: Any, writer: Any) -> None:
        total = sum(_length(chunk.data) for chunk in reader)
        writer.write(str(total).encode())

    def do_exchange(self, _context: object, _descriptor: object, reader: Any, writer: Any) -> None:
        writer.begin(_SCHEMA)
        for chunk in reader:
            writer.write_batch(chunk.data)


def serve(address: str, ready: Ready) -> None:
    """Serve in threads of C++."""
    server = _Server(_location(address))
    ready(address)
    # The server has its own threads. This thread only has to release the interpreter.
    threading.Event().wait()
    server.shutdown()


@contextmanager
def connect(address: str) -> Iterator[Calls]:
    """Create a client with one channel."""
    with pyarrow.flight.FlightClient(_location(address)) as client:
        yield _FlightCalls(client)


class _FlightCalls:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._descriptor = pyarrow.flight.FlightDescriptor.for_command(b"")

    def unary(self, body: bytes) -> int:
        return sum(result.body.size for result in self._client.do_action(pyarrow.flight.Action("echo", body)))

    def server_stream(self, size: int, count: int) -> int:
        reader = self._client.do_get(pyarrow.flight.Ticket(json.dumps([size, count]).encode()))
        return sum(_length(chunk.data) for chunk in reader)

    def client_stream(self, body: bytes, count: int) -> int:
        writer, reader = self._client.do_put(self._descriptor, _SCHEMA)
        batch = _batch(body)
        with writer:
            for _ in range(count):
                writer.write_batch(batch)
            writer.done_writing()
            return int(reader.read().to_pybytes())

    def bidirectional(self, body: bytes, count: int) -> int:
        writer, reader = self._client.do_exchange(self._descriptor)
        batch = _batch(body)
        total = 0
        with writer:
            writer.begin(_SCHEMA)
            for _ in range(count):
                writer.write_batch(batch)
                total += _length(reader.read_chunk().data)
            writer.done_writing()
        return total


def _location(address: str) -> str:
    return f"grpc+unix://{address}"


def _batch(body: bytes) -> Any:
    return pa.record_batch([pa.array([body], pa.binary())], schema=_SCHEMA)


def _length(batch: Any) -> int:
    return len(batch.column(0)[0].as_buffer())
