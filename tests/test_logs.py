"""The log of a server: each exception of a handler once, nothing else, and each call with --access-log."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from running import WITHIN, Running, eventually, fresh_channel, serving, slow_greetings
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_demo.services import AsyncGreeterService, GreeterService

GREETER = "/samehost.greeter.v1.GreeterService"
ADA = greeter_pb2.GreetRequest(name="Ada")


class Raising(GreeterService):
    """Raises at once or after the first response."""

    def Greet(self, _request: Any, _context: Any) -> greeter_pb2.GreetResponse:
        raise ValueError("out of greetings")

    def GreetInLanguages(self, _request: Any, _context: Any) -> Iterator[greeter_pb2.GreetInLanguagesResponse]:
        yield greeter_pb2.GreetInLanguagesResponse()
        raise ValueError("out of greetings")


class AsyncRaising(AsyncGreeterService):
    """Does what Raising does with asyncio."""

    async def Greet(self, _request: Any, _context: Any) -> greeter_pb2.GreetResponse:
        raise ValueError("out of greetings")

    async def GreetInLanguages(
        self, _request: Any, _context: Any
    ) -> AsyncIterator[greeter_pb2.GreetInLanguagesResponse]:
        yield greeter_pb2.GreetInLanguagesResponse()
        raise ValueError("out of greetings")


def raising(kind: str) -> object:
    return Raising() if kind == "sync" else AsyncRaising()


def stub(channel: grpc.Channel) -> greeter_pb2_grpc.GreeterServiceStub:
    return greeter_pb2_grpc.GreeterServiceStub(channel)


@pytest.mark.parametrize("method", ["Greet", "GreetInLanguages"])
def test_an_exception_of_a_handler_is_logged_once_with_its_traceback(
    kind: str, engine: str, path: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Running(kind, path, [raising(kind)], engine=engine), fresh_channel(path) as channel:
        call: Any = channel.unary_stream(f"{GREETER}/{method}")
        with pytest.raises(grpc.RpcError, match="UNKNOWN"):
            list(call(b"", timeout=WITHIN))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("samehost_server", logging.ERROR)
    assert record.getMessage() == f"{GREETER}/{method} raised ValueError"
    assert record.exc_info
    assert "out of greetings" in caplog.text
    assert "test_logs.py" in caplog.text, "the traceback names the file that raised it"


def test_aborts_cancellations_and_deadlines_are_not_logged(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # On a connection that reaches its age limit, a deadline may end with UNAVAILABLE: docs/background/limits.md.
    with Running(kind, path, grace=0, max_connection_age=60), fresh_channel(path) as channel:
        with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
            stub(channel).Greet(greeter_pb2.GreetRequest(), timeout=WITHIN)
        stream = slow_greetings(channel)
        next(stream)
        stream.cancel()
        request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
        request.interval.FromSeconds(1)
        with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
            list(stub(channel).GreetInLanguages(request, timeout=0.1))
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_the_log_of_another_server_of_the_process_does_not_change(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = f"unix:{path.with_name('other.sock')}"

    async def serve_and_call() -> None:
        server = grpc.aio.server()
        greeter_pb2_grpc.add_GreeterServiceServicer_to_server(AsyncRaising(), server)
        server.add_insecure_port(other)
        await server.start()
        async with grpc.aio.insecure_channel(other) as channel:
            with pytest.raises(grpc.RpcError):
                await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(ADA, timeout=WITHIN)
        await server.stop(None)

    with Running(kind, path):
        asyncio.run(serve_and_call())
    assert [record.name for record in caplog.records if record.levelno > logging.DEBUG] == ["grpc._cython.cygrpc"]


SERVICES = """
import logging
from samehost_demo.services import AsyncGreeterService, GreeterService

class Raising(GreeterService):
    def GreetTogether(self, requests, context):
        logging.getLogger("mine").info("about to raise")
        raise ValueError("out of greetings")

class AsyncRaising(AsyncGreeterService):
    async def GreetTogether(self, requests, context):
        logging.getLogger("mine").info("about to raise")
        raise ValueError("out of greetings")

sync, aio = Raising(), AsyncRaising()
"""


def logged(kind: str, path: Path, *options: str) -> str:
    """Returns the log of the program after five calls that end differently."""
    (path.parent / "mine.py").write_text(SERVICES)
    arguments = ("--services", f"mine:{kind}", "--grace", "0", *options)
    log = path.parent / "log"
    with (
        log.open("w") as stderr,
        serving(kind, path, *arguments, cwd=path.parent, stderr=stderr) as server,
        fresh_channel(path) as channel,
    ):
        unknown: Any = channel.unary_unary("/no.such.Service/Method")
        stub(channel).Greet(ADA, timeout=WITHIN)
        with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
            stub(channel).Greet(greeter_pb2.GreetRequest(), timeout=WITHIN)
        with pytest.raises(grpc.RpcError, match="UNKNOWN"):
            stub(channel).GreetTogether(iter([]), timeout=WITHIN)
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            unknown(b"", timeout=WITHIN)
        stream = slow_greetings(channel)
        next(stream)
        stream.cancel()
        if "--access-log" in options:
            eventually(lambda: "GreetInLanguages" in log.read_text(), "the line of the cancelled call")
        server.process.terminate()
        out, _ = server.process.communicate(timeout=WITHIN)
        assert (out, server.process.returncode) == ("", 0), "stdout has only the ready line"
    return log.read_text()


def test_the_program_logs_each_call_with_access_log(kind: str, path: Path) -> None:
    text = logged(kind, path, "--access-log", "--log-level", "error")
    lines = re.findall(r"^\S+ \S+ INFO samehost_server\.access: (.*) \d+\.\d ms$", text, re.MULTILINE)
    assert lines == [
        f"{GREETER}/Greet OK",
        f"{GREETER}/Greet INVALID_ARGUMENT",
        f"{GREETER}/GreetTogether UNKNOWN",
        "/no.such.Service/Method UNIMPLEMENTED",
        f"{GREETER}/GreetInLanguages CANCELLED",
    ]
    assert text.count("Traceback") == 1


def test_the_program_logs_exceptions_of_handlers_and_no_calls_by_default(kind: str, path: Path) -> None:
    text = logged(kind, path)
    assert f"ERROR samehost_server: {GREETER}/GreetTogether raised ValueError\nTraceback" in text
    assert text.endswith("ValueError: out of greetings\n")
    assert "INFO" not in text


def test_the_program_logs_at_the_given_level(kind: str, path: Path) -> None:
    assert "INFO mine: about to raise" in logged(kind, path, "--log-level", "info")


def test_the_access_log_distinguishes_a_deadline_from_a_cancellation(kind: str, engine: str, path: Path) -> None:
    log = path.parent / "log"
    with (
        log.open("w") as stderr,
        serving(kind, path, "--access-log", "--engine", engine, stderr=stderr),
        fresh_channel(path) as channel,
    ):
        request = greeter_pb2.GreetInLanguagesRequest(name="Ada")
        request.interval.FromMilliseconds(300)
        with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
            list(stub(channel).GreetInLanguages(request, timeout=0.1))
        eventually(lambda: "GreetInLanguages DEADLINE_EXCEEDED" in log.read_text(), "the line of the call")
