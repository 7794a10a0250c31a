"""Attacks a server with bad input and a client with bad servers. The server stays healthy, and deadlines hold."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import h2.config
import h2.connection
import h2.events
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as some

from faults.resources import Resources, resources
from faults.servers import FaultError, start
from samehost.interop import testing_pb2, testing_pb2_grpc
from samehost_client import connect
from samehost_client.health import check
from samehost_common import SocketAddress
from samehost_interop.child_process import ChildProcess
from samehost_interop.socket_suite.neighbours import answering, neighbour

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = SettingsFrame(0).serialize()

HEALTH_SECONDS = 1.0
"""How long a health check may take during the attack."""

MOST_MEMORY_MIB = 256.0
"""How much the server may grow. Its limits of 100 calls, 4 MiB per message and 16 KiB of metadata need less."""

_ANSWER_SECONDS = 0.02
"""How long to wait for the answer to an input, so that the server processes the input and does not only buffer it."""

_SETTLE_SECONDS = 30.0

_HALF_OPEN = 1000
_LARGEST_FRAME = (1 << 24) - 1
_PATH = "/grpc.testing.TestService/UnaryCall"


def headers(*extra: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the headers of a unary call."""
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", _PATH),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *extra,
    ]


def connection() -> h2.connection.H2Connection:
    """Return a client connection that does not validate what it sends."""
    made = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    made.initiate_connection()
    return made


def random_bytes(chance: random.Random) -> bytes:
    """Return random bytes."""
    return chance.randbytes(chance.randint(1, 4096))


def truncated_preface(chance: random.Random) -> bytes:
    """Return an incomplete preface."""
    whole = PREFACE + SETTINGS
    return whole[: chance.randint(1, len(whole) - 1)]


def random_frames(chance: random.Random) -> bytes:
    """Return a valid preface, then frames of random type, flags, stream and length."""
    data = PREFACE + SETTINGS
    for _ in range(chance.randint(1, 20)):
        body = chance.randbytes(chance.randint(0, 200))
        length = chance.choice((len(body), chance.randint(0, _LARGEST_FRAME)))
        stream = chance.choice((0, 1, 2, 3, chance.randint(0, 2**31 - 1)))
        data += length.to_bytes(3) + bytes([chance.randint(0, 12), chance.randint(0, 255)]) + stream.to_bytes(4) + body
    return data


def rapid_resets(chance: random.Random) -> bytes:
    """Return streams that are reset right after their start (CVE-2023-44487)."""
    made = connection()
    for number in range(chance.randint(10, 100)):
        made.send_headers(2 * number + 1, headers())
        made.reset_stream(2 * number + 1, error_code=8)
    return bytes(made.data_to_send())


def hpack_bomb(chance: random.Random) -> bytes:
    """Return many references to a large field in the dynamic table, which are small on the wire and large in memory."""
    made = connection()
    made.send_headers(1, headers(("x", "a" * 3000)), end_stream=True)
    bomb = made.data_to_send()
    # 0x80 | 62 is the newest entry of the dynamic table (RFC 7541, 2.3.3).
    references = bytes([0x80 | 62]) * chance.randint(1000, 16000)
    return bytes(bomb) + HeadersFrame(3, data=references, flags=["END_HEADERS", "END_STREAM"]).serialize()


def continuation_flood(chance: random.Random) -> bytes:
    """Return a header block that never ends (CVE-2024-27316 and others)."""
    data = PREFACE + SETTINGS + HeadersFrame(1, data=b"\x82").serialize()
    return data + ContinuationFrame(1, data=b"\x00" * 100).serialize() * chance.randint(10, 300)


def oversized_metadata(chance: random.Random) -> bytes:
    """Return more metadata than any server accepts."""
    made = connection()
    extra = [(f"x-{number}", "a" * 4000) for number in range(chance.randint(5, 15))]
    made.send_headers(1, headers(*extra), end_stream=True)
    return bytes(made.data_to_send())


def false_length(chance: random.Random) -> bytes:
    """Return a message with a wrong length."""
    made = connection()
    made.send_headers(1, headers())
    length = chance.choice((0, 1, 5, 1 << 20, (1 << 32) - 1))
    made.send_data(1, bytes([chance.choice((0, 1, 7))]) + length.to_bytes(4) + chance.randbytes(64), end_stream=True)
    return bytes(made.data_to_send())


def broken_message(chance: random.Random) -> bytes:
    """Return a message that is not protobuf."""
    made = connection()
    made.send_headers(1, headers())
    body = chance.randbytes(chance.randint(1, 2000))
    made.send_data(1, b"\0" + len(body).to_bytes(4) + body, end_stream=True)
    return bytes(made.data_to_send())


def floods(chance: random.Random) -> bytes:
    """Return many frames that each require an answer."""
    frame = chance.choice((PingFrame(0, opaque_data=b"12345678").serialize(), SETTINGS, PriorityFrame(1).serialize()))
    return PREFACE + SETTINGS + frame * chance.randint(100, 1000)


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    random_bytes,
    truncated_preface,
    random_frames,
    rapid_resets,
    hpack_bomb,
    continuation_flood,
    oversized_metadata,
    false_length,
    broken_message,
    floods,
)


def structured() -> some.SearchStrategy[bytes]:
    """Return a strategy for sequences of valid frames in an invalid order."""
    stream = some.integers(0, 9)
    body = some.binary(max_size=100)
    flags = some.sampled_from(([], ["END_STREAM"], ["END_HEADERS"], ["END_STREAM", "END_HEADERS"]))

    def made(kind: Callable[..., Frame], **fields: Any) -> some.SearchStrategy[bytes]:
        return some.builds(kind, stream_id=stream, **fields).map(lambda frame: bytes(frame.serialize()))

    frames = some.one_of(
        some.builds(
            lambda one, data, marks: bytes(HeadersFrame(one or 1, data=data, flags=marks).serialize()),
            stream,
            body,
            flags,
        ),
        some.builds(
            lambda one, data, marks: bytes(
                DataFrame(one or 1, data=data, flags=marks[:1] if "END_STREAM" in marks else []).serialize()
            ),
            stream,
            body,
            flags,
        ),
        some.builds(
            lambda one, code: bytes(RstStreamFrame(one or 1, error_code=code).serialize()), stream, some.integers(0, 20)
        ),
        some.builds(
            lambda one, by: bytes(WindowUpdateFrame(one, window_increment=by).serialize()),
            stream,
            some.integers(1, 2**31 - 1),
        ),
        some.builds(
            lambda key, value: bytes(SettingsFrame(0, settings={key: value}).serialize()),
            some.integers(0, 10),
            some.integers(0, 2**32 - 1),
        ),
        some.builds(lambda last: bytes(GoAwayFrame(0, last_stream_id=last).serialize()), some.integers(0, 2**31 - 1)),
        some.just(bytes(ContinuationFrame(1, data=b"\x82").serialize())),
    )
    return some.lists(frames, max_size=20).map(lambda some_frames: PREFACE + SETTINGS + b"".join(some_frames))


def attack(path: Path, data: bytes) -> None:
    """Send an input and read for a moment. The server may close the connection at any time."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as neighbour:
        neighbour.settimeout(_ANSWER_SECONDS)
        neighbour.connect(str(path))
        neighbour.sendall(data)
        neighbour.recv(1 << 16)


class HealthWatch:
    """Check health repeatedly on new connections, and keep the longest time of a check."""

    def __init__(self, path: Path) -> None:
        self.longest = 0.0
        self.checks = 0
        self.fault = ""
        self._path = path
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._enough.wait(0.05) and not self.fault:
            begun = time.monotonic()
            try:
                status = check(SocketAddress(self._path), timeout=10 * HEALTH_SECONDS)
                self.fault = "" if status == "SERVING" else f"health: expected SERVING, got {status}"
            except Exception as error:  # noqa: BLE001 - every error is a fault
                self.fault = f"health: {error}"
            self.longest = max(self.longest, time.monotonic() - begun)
            self.checks += 1


def server(kind: str, inputs: int, seed: int, folder: Path) -> dict[str, Any]:
    """Attack a server with this many inputs, a tenth of which come from hypothesis, and with half-open connections.

    Raises:
        FaultError: the server has died.
    """
    path = folder / "app.sock"
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    process = start(kind, path, folder / "journal")
    with process, HealthWatch(path) as watch:
        pid = process.pid
        before = resources(pid)
        peak = before.memory_mib
        tried = {each.__name__: 0 for each in KINDS}
        for number in range(inputs - inputs // 10):
            make = KINDS[number % len(KINDS)]
            attack(path, make(chance))
            tried[make.__name__] += 1
            if number % 100 == 0:
                _expect_alive(process, f"input {number}, {make.__name__}, seed {seed}")
                peak = max(peak, resources(pid).memory_mib)
        tried["structured"] = _structured(path, inputs // 10, seed)
        tried["half_open"] = _hold_open(path, chance)
        peak = max(peak, resources(pid).memory_mib)
        _expect_alive(process, f"half-open connections, seed {seed}")
        with connect(path, wait=HEALTH_SECONDS * 10) as channel:
            request = testing_pb2.SimpleRequest(payload=testing_pb2.Payload(body=b"still there"))
            answer = testing_pb2_grpc.TestServiceStub(channel).UnaryCall(request, timeout=10)
        after = _settled(pid, before)
    return {
        "kind": kind,
        "seed": seed,
        "inputs": sum(tried.values()),
        "tried": tried,
        "health_checks": watch.checks,
        "health_longest_s": round(watch.longest, 3),
        "health_fault": watch.fault,
        "answers_after": answer.payload.body == b"still there",
        "peak_memory_mib": peak,
        "before": before.as_json(),
        "after": after.as_json(),
    }


def _structured(path: Path, inputs: int, seed: int) -> int:
    tried = 0

    @seeded(seed)
    @settings(
        max_examples=inputs,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(structured())
    def attack_with(data: bytes) -> None:
        nonlocal tried
        attack(path, data)
        tried += 1

    attack_with()
    return tried


def _hold_open(path: Path, chance: random.Random) -> int:
    """Open a thousand connections at once that send a part of the preface and nothing more."""
    with contextlib.ExitStack() as stack:
        for _ in range(_HALF_OPEN):
            neighbour = stack.enter_context(socket.socket(socket.AF_UNIX))
            neighbour.settimeout(HEALTH_SECONDS)
            with contextlib.suppress(OSError):
                neighbour.connect(str(path))
                neighbour.sendall(truncated_preface(chance))
        if check(SocketAddress(path), timeout=10 * HEALTH_SECONDS) != "SERVING":
            raise FaultError(f"health with {_HALF_OPEN} half-open connections: expected SERVING, got another status")
    return _HALF_OPEN


def _settled(pid: int, before: Resources) -> Resources:
    """Return the resources of a server after it has closed its connections, or at a deadline."""
    pace = threading.Event()
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (found := resources(pid)).descriptors > before.descriptors and time.monotonic() < deadline:
        pace.wait(0.1)
    return found


def _expect_alive(process: ChildProcess, what: str) -> None:
    with contextlib.suppress(TimeoutError):
        code = process.wait(0)
        raise FaultError(process.explain(f"the server exited with code {code} after {what}"))


def client(folder: Path) -> dict[str, Any]:
    """Call bad servers with a deadline, and report the longest delay after it."""
    path = folder / "bad.sock"
    late: dict[str, float] = {}
    giant = _LARGEST_FRAME.to_bytes(3) + b"\0\0" + (1).to_bytes(4) + bytes(1 << 20)
    neighbours: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
        "garbage": lambda: answering(path, random.Random(1).randbytes(4096)),  # noqa: S311 - repeatable, not secret
        "silence": lambda: answering(path, None),
        "settings and silence": lambda: _speaking(path, lambda _http, _stream: None),
        "a frame of 2^24 - 1 bytes": lambda: answering(path, SETTINGS + giant),
        "resets every stream": lambda: _speaking(path, lambda http, stream: http.reset_stream(stream, error_code=2)),
        "closes mid-message": lambda: _speaking(path, _half_a_message, hang_up=True),
        "never ends its message": lambda: _speaking(path, _half_a_message),
    }
    deadline = 1.0
    for name, bad_server in neighbours.items():
        with bad_server(), connect(path, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            for wait_for_ready in (False, True):
                begun = time.monotonic()
                with contextlib.suppress(grpc.RpcError):
                    testing_pb2_grpc.TestServiceStub(channel).UnaryCall(
                        testing_pb2.SimpleRequest(), timeout=deadline, wait_for_ready=wait_for_ready
                    )
                    raise FaultError(f"a call to a server that {name}: expected an error, got a response")
                late[f"{name}{', waiting' if wait_for_ready else ''}"] = round(time.monotonic() - begun - deadline, 3)
    return {"deadline_s": deadline, "late_by_s": late, "latest_s": max(late.values())}


def _half_a_message(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    http.send_data(stream, b"\0" + (1000).to_bytes(4) + b"half")


@contextlib.contextmanager
def _speaking(
    path: Path, answer: Callable[[h2.connection.H2Connection, int], None], *, hang_up: bool = False
) -> Iterator[None]:
    """Run an HTTP/2 server that answers each request with an error of `answer`."""

    def serve(peer: socket.socket) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        peer.sendall(http.data_to_send())
        while data := peer.recv(1 << 16):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    answer(http, event.stream_id)
                    peer.sendall(http.data_to_send())
                    if hang_up:
                        peer.shutdown(socket.SHUT_RDWR)
                        return
            peer.sendall(http.data_to_send())

    with neighbour(path, serve):
        yield
