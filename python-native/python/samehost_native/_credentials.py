"""Call credentials: plugins that add metadata to a call.

grpcio passes the credentials of a call to C-core, and no public function returns their plugins. So this module reads
private attributes of grpcio's classes. The tests notice if they change.
"""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import grpc

from samehost_native._errors import CallError

Plugin = Callable[[str, str, Callable[[Any, int, bytes | None], None]], None]
"""Creates metadata for the URL of a service and the name of a method, and passes them to a callback, with a status code
and details."""

TOO_INSECURE = (
    "Established channel does not have a sufficient security level to transfer call credential. "
    "Connect with grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)."
)
"""The details of a call with credentials on a channel without security, as in C-core, with a remedy."""

_INTERNAL = grpc.StatusCode.INTERNAL
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]


def plugins_of(credentials: grpc.CallCredentials | None) -> list[Plugin]:
    """Returns the plugins of call credentials.

    Raises:
        TypeError: the credentials are not of grpc.metadata_call_credentials, grpc.access_token_call_credentials or
            grpc.composite_call_credentials.
    """
    return [] if credentials is None else _plugins(getattr(credentials, "_credentials", credentials))


def _plugins(native: Any) -> list[Plugin]:
    if (parts := getattr(native, "_call_credentialses", None)) is not None:
        return [plugin for part in parts for plugin in _plugins(part)]
    if (plugin := getattr(native, "_metadata_plugin", None)) is None:
        kind = type(native).__name__
        raise TypeError(f"invalid call credentials of type {kind}: use grpc.metadata_call_credentials or grpcio")
    return [plugin]


class _Answer:
    """The metadata of one plugin, which may call back in any thread."""

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._found: tuple[Any, int, bytes | None] | None = None

    def __call__(self, metadata: Any, code: int, details: bytes | None) -> None:
        if self._found is None:
            self._found = metadata, int(code), details
            self._notify()

    def metadata(self) -> list[Any]:
        """Returns the metadata.

        Raises:
            CallError: the plugin failed. The code is UNAVAILABLE, as in C-core.
        """
        metadata, code, details = self._found or (None, _INTERNAL.value[0], b"no answer")
        if code:
            reason = (details or b"").decode("utf-8", "replace")
            fault = f"Getting metadata from plugin failed with error: {reason}"
            raise CallError(_UNAVAILABLE, fault, (), ())
        return list(metadata or ())


def _target(scheme: str, method: str) -> tuple[str, str]:
    service, _, name = method.rpartition("/")
    return f"{scheme}://localhost{service}", name


def with_credentials(metadata: Any, plugins: list[Plugin], scheme: str, method: str, timeout: float | None) -> Any:
    """Returns the metadata of a call with those of its plugins.

    Raises:
        CallError: a plugin failed, or the timeout passed.
    """
    found = list(metadata or ())
    for plugin in plugins:
        answered = threading.Event()
        answer = _Answer(answered.set)
        plugin(*_target(scheme, method), answer)
        if not answered.wait(timeout):
            raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded", (), ())
        found += answer.metadata()
    return found


async def with_credentials_async(metadata: Any, plugins: list[Plugin], scheme: str, method: str) -> Any:
    """Returns the metadata of a call with those of its plugins, which run in threads.

    Raises:
        CallError: a plugin failed.
    """
    loop = asyncio.get_running_loop()
    found = list(metadata or ())
    for plugin in plugins:
        answered = asyncio.Event()
        answer = _Answer(functools.partial(loop.call_soon_threadsafe, answered.set))
        await asyncio.to_thread(plugin, *_target(scheme, method), answer)
        await answered.wait()
        found += answer.metadata()
    return found
