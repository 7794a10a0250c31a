"""Call credentials on channels with local credentials, with both engines."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import samehost_native
import samehost_native.aio
from conftest import WITHIN, serving


def _tokens(_: bytes, context: Any) -> bytes:
    return repr(sorted(tuple(each) for each in context.invocation_metadata() if each[0].startswith("x-"))).encode()


class Plugin(grpc.AuthMetadataPlugin):
    """Adds metadata to a call, or fails."""

    def __init__(self, metadata: Any = (), error: Exception | None = None, raised: Exception | None = None) -> None:
        self._answer = metadata, error
        self._raised = raised
        self.seen: list[Any] = []

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        self.seen.append((context.service_url, context.method_name))
        if self._raised:
            raise self._raised
        callback(*self._answer)


class LatePlugin(grpc.AuthMetadataPlugin):
    """Calls back in another thread."""

    def __call__(self, _: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        threading.Timer(0.05, callback, ((("x-late", "1"),), None)).start()


class SilentPlugin(grpc.AuthMetadataPlugin):
    """Never calls back."""

    def __call__(self, _: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        pass


def _grpcio(path: Path) -> Any:
    local = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    return grpc.secure_channel(f"unix:{path}", local, [("grpc.default_authority", "localhost")])


def _grpcio_aio(path: Path) -> Any:
    local = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    return grpc.aio.secure_channel(f"unix:{path}", local, [("grpc.default_authority", "localhost")])


def _native(path: Path) -> Any:
    return samehost_native.Channel(str(path), local_credentials=True)


def _native_aio(path: Path) -> Any:
    return samehost_native.aio.Channel(str(path), local_credentials=True)


def _wait_for_plugins() -> None:
    """Waits for the threads of grpcio's plugins. If a channel closes while one calls back, grpcio may deadlock."""
    for thread in threading.enumerate():
        if thread.name.endswith("(_run)"):
            thread.join(WITHIN)


@pytest.fixture(
    params=[_native, _grpcio, _native_aio, _grpcio_aio], ids=["native", "grpcio", "native-aio", "grpcio-aio"]
)
def call(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    """Calls the server with credentials and returns the answer, or the code and details of the error."""

    def call_sync(credentials: grpc.CallCredentials, timeout: float = WITHIN) -> Any:
        with request.param(path) as channel:
            tokens = channel.unary_unary("/test.Test/Tokens")
            options: Any = {"timeout": timeout, "metadata": (("x-own", "1"),), "credentials": credentials}
            answers = []
            for is_future in (False, True):
                try:
                    answers.append(tokens.future(b"", **options).result() if is_future else tokens(b"", **options))
                except grpc.RpcError as error:
                    answers.append((error.code(), error.details()))
            _wait_for_plugins()
            assert answers[0] == answers[1]
            return answers[0]

    async def call_aio(credentials: grpc.CallCredentials, timeout: float) -> Any:
        async with request.param(path) as channel:
            tokens = channel.unary_unary("/test.Test/Tokens")
            try:
                return await tokens(b"", timeout=timeout, metadata=(("x-own", "1"),), credentials=credentials)
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details()
            finally:
                await asyncio.to_thread(_wait_for_plugins)

    def call_async(credentials: grpc.CallCredentials, timeout: float = WITHIN) -> Any:
        return asyncio.run(call_aio(credentials, timeout))

    with serving(path, {"Tokens": grpc.unary_unary_rpc_method_handler(_tokens)}):
        yield call_sync if request.param in (_native, _grpcio) else call_async


def test_a_plugin_adds_metadata(call: Any) -> None:
    plugin = Plugin((("x-token", "secret"),))
    assert call(grpc.metadata_call_credentials(plugin)) == b"[('x-own', '1'), ('x-token', 'secret')]"
    assert set(plugin.seen) == {("://localhost/test.Test", "Tokens")}


def test_several_plugins_add_metadata(call: Any) -> None:
    parts = [grpc.metadata_call_credentials(Plugin(((f"x-{name}", "2"),))) for name in "ab"]
    found = call(grpc.composite_call_credentials(*parts))
    assert found == b"[('x-a', '2'), ('x-b', '2'), ('x-own', '1')]"


def test_a_plugin_calls_back_in_another_thread(call: Any) -> None:
    assert call(grpc.metadata_call_credentials(LatePlugin())) == b"[('x-late', '1'), ('x-own', '1')]"


@pytest.mark.parametrize("fault", [{"error": ValueError("no token")}, {"raised": ValueError("no token")}])
def test_a_plugin_that_fails_makes_the_call_unavailable(call: Any, fault: Any) -> None:
    code, details = call(grpc.metadata_call_credentials(Plugin(None, **fault)))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert details == "Getting metadata from plugin failed with error: no token"


def test_a_plugin_that_never_answers_ends_at_the_deadline(call: Any) -> None:
    code, _ = call(grpc.metadata_call_credentials(SilentPlugin()), timeout=0.2)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
